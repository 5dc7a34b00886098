use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{PROGRAMS, Search};

/// Puts programs into `root/name/bin` that say they are of `version`.
fn install(root: &Path, name: &str, version: &str, programs: &[&str]) -> PathBuf {
    let bin = root.join(name).join("bin");
    fs::create_dir_all(&bin).unwrap();
    for program in programs {
        let script = format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n");
        fs::write(bin.join(program), script).unwrap();
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

fn only_packaged(root: &Path) -> Search {
    Search {
        path: root.join("no such").into(),
        pg_config: root.join("no such pg_config").into(),
        packaged: vec![format!("{}/pg-*/bin", root.display())],
    }
}

#[test]
fn the_newest_package_wins() {
    let root = tempfile::tempdir().unwrap();
    install(root.path(), "pg-9", "9.6.24", &PROGRAMS);
    let newest = install(root.path(), "pg-17", "17.2", &PROGRAMS);
    install(root.path(), "pg-14", "14.19", &PROGRAMS);
    assert_eq!(only_packaged(root.path()).run().unwrap(), newest);
}

#[test]
fn the_path_comes_before_packages() {
    let root = tempfile::tempdir().unwrap();
    install(root.path(), "pg-17", "17.2", &PROGRAMS);
    let on_path = install(root.path(), "mine", "15.1", &PROGRAMS);
    let search = Search {
        path: on_path.clone().into(),
        ..only_packaged(root.path())
    };
    assert_eq!(search.run().unwrap(), on_path);
}

#[test]
fn pg_config_is_asked() {
    let root = tempfile::tempdir().unwrap();
    let asked = install(root.path(), "asked", "16.3", &PROGRAMS);
    let pg_config = root.path().join("pg_config");
    fs::write(&pg_config, format!("#!/bin/sh\necho {}\n", asked.display())).unwrap();
    fs::set_permissions(&pg_config, fs::Permissions::from_mode(0o755)).unwrap();
    let search = Search {
        pg_config: pg_config.into(),
        ..only_packaged(root.path())
    };
    assert_eq!(search.run().unwrap(), asked);
}

#[test]
fn a_link_leads_to_the_whole_installation() {
    let root = tempfile::tempdir().unwrap();
    let real = install(root.path(), "pg-16", "16.3", &PROGRAMS);
    let links = root.path().join("links");
    fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink(real.join("postgres"), links.join("postgres")).unwrap();
    let search = Search {
        path: links.into(),
        packaged: Vec::new(),
        ..only_packaged(root.path())
    };
    assert_eq!(search.run().unwrap(), real);
}

#[test]
fn what_was_found_is_told() {
    let root = tempfile::tempdir().unwrap();
    let old = install(root.path(), "pg-12", "12.3", &PROGRAMS);
    let partial = install(root.path(), "pg-16", "16.3", &["postgres"]);
    let message = only_packaged(root.path()).run().unwrap_err().to_string();
    let partial = format!("an incomplete one in {}", partial.display());
    let old = format!("12.3 in {}", old.display());
    assert_eq!(
        message,
        format!(
            "found {partial}, {old}, need 14 or newer \
             (looked in PATH, `pg_config --bindir`, {}/pg-*/bin)",
            root.path().display()
        )
    );
}

#[test]
fn nothing_found_tells_where_it_looked() {
    let root = tempfile::tempdir().unwrap();
    let message = only_packaged(root.path()).run().unwrap_err().to_string();
    assert!(message.starts_with("none found in PATH, `pg_config --bindir`, "));
}
