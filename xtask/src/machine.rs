//! What the machine has, and how to get what it lacks.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::cargo;
use crate::{Failure, run};

/// Checks the tools that everything else needs, and prints their versions.
pub(crate) fn tools(root: &Path) -> Result<(), Failure> {
    println!("  {}", run::read(Command::new("rustc").arg("--version"))?.trim());
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let version = run::read(cargo(root).args([subcommand, "--version"]));
        let version = match version {
            Ok(version) => version,
            Err(_) => {
                println!("  {component} is missing: rustup adds it");
                run::show(Command::new("rustup").args(["component", "add", component]))?;
                run::read(cargo(root).args([subcommand, "--version"]))?
            }
        };
        println!("  {}", version.trim());
    }
    let compiler = found(&["cc", "gcc", "clang"]);
    let compiler = compiler.ok_or("no C compiler: install one, such as Debian's package gcc")?;
    println!("  C compiler: {}", compiler.display());
    Ok(())
}

/// Makes sure of a C++ compiler: the fuzzing runtime is compiled with it.
pub(crate) fn cxx_compiler() -> Result<(), Failure> {
    let find = || match std::env::var_os("CXX") {
        Some(chosen) => Some(PathBuf::from(chosen)),
        None => found(&["c++", "g++", "clang++"]),
    };
    if find().is_none() {
        install(&["g++"])?;
    }
    let compiler = find().ok_or("no C++ compiler: install one, such as Debian's package g++")?;
    println!("  C++ compiler: {}", compiler.display());
    Ok(())
}

/// Whether a small disk can be mounted, out of sight of everything else: a test fills one.
pub(crate) fn mounts_a_disk() -> bool {
    let namespaces: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];
    namespaces.iter().any(|namespace| {
        let mount = ["sh", "-c", "mount -t tmpfs -o size=4m none /tmp"];
        let tried = Command::new("unshare").args(*namespace).args(mount).output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}

/// The first of these programs that is on the path.
pub(crate) fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| {
        directories.iter().map(|directory| directory.join(name)).find(|file| file.is_file())
    })
}

/// Installs Debian packages, as root or through sudo.
pub(crate) fn install(packages: &[&str]) -> Result<(), Failure> {
    let wanted = packages.join(" ");
    println!("  {wanted}: not on this machine; apt-get installs it");
    let advice = format!("install {wanted} by hand (Debian's names) and run this again");
    if found(&["apt-get"]).is_none() {
        return Err(format!("there is no apt-get here: {advice}").into());
    }
    let root = run::read(Command::new("id").arg("-u"))?.trim() == "0";
    if !root && found(&["sudo"]).is_none() {
        return Err(format!("apt-get needs root, and there is no sudo here: {advice}").into());
    }
    let apt = |arguments: &[&str]| {
        let mut command = if root { Command::new("env") } else { Command::new("sudo") };
        if !root {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]);
        command.args(["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"]);
        command.args(["-o", "Dpkg::Use-Pty=0"]);
        run::show(command.args(arguments)).map_err(|failure| format!("{failure}; {advice}"))
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())?;
    Ok(())
}
