//! What the workspace holds, as cargo tells it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{Failure, run};

/// The name of the root package: the facade.
pub(crate) const FACADE: &str = "session-engine";

/// The workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    pub(crate) features: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) is_library: bool,
}

/// What a package depends on. `normal` is false of what only tests and build scripts need.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) normal: bool,
}

impl Workspace {
    pub(crate) fn read() -> Result<Self, Failure> {
        let text =
            run::read(cargo(&root()?).args(["metadata", "--no-deps", "--format-version=1"]))?;
        let metadata: Value = serde_json::from_str(&text)?;
        Ok(Self {
            root: field(&metadata["workspace_root"])?.into(),
            target: field(&metadata["target_directory"])?.into(),
            packages: list(&metadata["packages"]).map(Package::read).collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn cargo(&self) -> Command {
        cargo(&self.root)
    }

    /// Crates of this repository that stand outside the workspace, to be tested by themselves.
    pub(crate) fn outsiders(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut found = Vec::new();
        self.search(&self.root, &mut found)?;
        found.sort();
        Ok(found)
    }

    fn search(&self, directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if hidden || !entry.file_type()?.is_dir() || path == self.target {
                continue;
            }
            if [OsStr::new("target"), OsStr::new("node_modules")].contains(&&*entry.file_name()) {
                continue;
            }
            let member = self.packages.iter().any(|package| package.directory == path);
            if !member && path.join("Cargo.toml").is_file() {
                found.push(path);
            } else {
                self.search(&path, found)?;
            }
        }
        Ok(())
    }
}

impl Package {
    fn read(package: &Value) -> Result<Self, Failure> {
        let manifest = Path::new(field(&package["manifest_path"])?);
        let features = package["features"].as_object().into_iter().flat_map(|map| map.keys());
        Ok(Self {
            name: field(&package["name"])?.into(),
            directory: manifest.parent().unwrap_or(manifest).into(),
            features: features.filter(|feature| *feature != "default").cloned().collect(),
            dependencies: list(&package["dependencies"])
                .map(|dependency| {
                    let name = field(&dependency["name"])?.into();
                    Ok(Dependency { name, normal: dependency["kind"].is_null() })
                })
                .collect::<Result<_, Failure>>()?,
            is_library: list(&package["targets"])
                .flat_map(|target| list(&target["kind"]))
                .any(|kind| kind == "lib"),
        })
    }
}

/// The directory of the workspace.
pub(crate) fn root() -> Result<PathBuf, Failure> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("run this as `cargo xtask`")?;
    let own = PathBuf::from(own);
    Ok(own.parent().ok_or("xtask stands outside the workspace")?.into())
}

/// Cargo, run in a directory.
pub(crate) fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(directory);
    command
}

fn field(value: &Value) -> Result<&str, Failure> {
    value.as_str().ok_or_else(|| "cargo metadata lacks a field".into())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
