//! Tables in Markdown.

use std::fmt;

/// A table. The first cell of a row names it.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: Vec<String>) -> Self {
        Self { rows: vec![head] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// All tables of a text.
    pub(crate) fn all_of(text: &str) -> Vec<Self> {
        let mut tables: Vec<Self> = Vec::new();
        let mut inside = false;
        for line in text.lines() {
            let cells = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
            let Some(cells) = cells else {
                inside = false;
                continue;
            };
            let cells: Vec<String> = cells.split('|').map(|cell| cell.trim().to_owned()).collect();
            match tables.last_mut().filter(|_| inside) {
                Some(_) if cells.iter().all(|cell| cell.starts_with("--")) => {}
                Some(table) => table.row(cells),
                None => tables.push(Self::new(cells)),
            }
            inside = true;
        }
        tables
    }

    /// The cells of the row with this name, without the name.
    pub(crate) fn find(&self, name: &str) -> Option<&[String]> {
        let row = self.rows.iter().find(|row| row.first().is_some_and(|cell| cell == name))?;
        Some(&row[1..])
    }

    /// The rows below the head: the name of each, and its other cells.
    pub(crate) fn body(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.rows
            .iter()
            .skip(1)
            .filter_map(|row| row.split_first())
            .map(|(name, cells)| (name.as_str(), cells))
    }

    /// Whether its first column has this name.
    pub(crate) fn is_of(&self, title: &str) -> bool {
        self.rows.first().and_then(|head| head.first()).is_some_and(|cell| cell == title)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, row) in self.rows.iter().enumerate() {
            writeln!(f, "| {} |", row.join(" | "))?;
            if place == 0 {
                writeln!(f, "|{}", "---|".repeat(row.len()))?;
            }
        }
        Ok(())
    }
}
