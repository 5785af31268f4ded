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
    let apt = |arguments: &[&str]| {
        let mut command = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
        command.extend(["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"]);
        command.extend(["-o", "Dpkg::Use-Pty=0"]);
        command.extend(arguments);
        as_root(&command).map_err(|failure| format!("{failure}; {advice}"))
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())?;
    Ok(())
}

/// Installs Debian packages for their programs: the services that come with them are not started.
pub(crate) fn install_without_services(packages: &[&str]) -> Result<(), Failure> {
    const ASKED: &str = "/usr/sbin/policy-rc.d";
    if Path::new(ASKED).exists() {
        return install(packages);
    }
    let refuse = format!("printf '#!/bin/sh\\nexit 101\\n' > {ASKED} && chmod 755 {ASKED}");
    as_root(&["sh", "-c", &refuse])?;
    let installed = install(packages);
    as_root(&["rm", ASKED])?;
    installed
}

/// Runs a command as root: as we are, or through sudo.
pub(crate) fn as_root(command: &[&str]) -> Result<(), Failure> {
    let root = run::read(Command::new("id").arg("-u"))?.trim() == "0";
    if !root && found(&["sudo"]).is_none() {
        return Err("this needs root, and there is no sudo here".into());
    }
    let sudo: &[&str] = if root { &[] } else { &["sudo", "-n"] };
    let words = [sudo, command].concat();
    let (program, arguments) = words.split_first().ok_or("there is nothing to run")?;
    run::show(Command::new(program).args(arguments))
}
