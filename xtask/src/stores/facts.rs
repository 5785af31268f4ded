//! What a store is by its make, stated once.

use crate::growth::STORES;

/// A row of the table: what is told, and of each store, in the order of [`STORES`], what holds.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) of: [&'static str; STORES.len()],
}

pub(super) const FACTS: [Fact; 6] = [
    Fact { name: "URL", of: ["`memory:`", "`sled://DIR`", "`sqlite://FILE`", "`postgres://…`"] },
    Fact {
        name: "`Applied` means",
        of: [
            "it is in memory",
            "sled has flushed it, and its files were synced",
            "the file's log was synced (WAL, `synchronous = FULL`)",
            "the server's log was synced (`synchronous_commit = on`)",
        ],
    },
    Fact {
        name: "A touch is durable",
        of: ["never", "within a second", "when it is answered", "within a second"],
    },
    Fact {
        name: "A power failure takes",
        of: [
            "everything",
            "touches; all, if sled then cannot read its files: it promises less than the others",
            "nothing",
            "touches of the last second",
        ],
    },
    Fact {
        name: "Isolation",
        of: [
            "one lock: one change after the other",
            "one writer at a time; readers see whole changes, and only what is durable",
            "one writer at a time, readers on snapshots: serializable",
            "READ COMMITTED; marks and rows locked in one order, and the subject's fence",
        ],
    },
    Fact {
        name: "Processes",
        of: [
            "one",
            "one: it holds a lock on the directory",
            "any number, on one machine and a local disk",
            "any number, on any machines",
        ],
    },
];
