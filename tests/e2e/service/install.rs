//! `seawall service` on an image: what is installed, that twice is as good as
//! once, and that nothing is left of it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use lab::{Finished, run};
use tempfile::TempDir;

fn service(root: &Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new(lab::seawall::binary());
    run(command.arg("service").args(arguments).arg("--root").arg(root))
}

/// An image with a systemd in it, as far as installing goes.
fn image() -> TempDir {
    let root = TempDir::with_prefix("seawall-image-").expect("a folder");
    let systemd = root.path().join("usr/lib/systemd");
    std::fs::create_dir_all(&systemd).expect("a folder");
    std::fs::write(systemd.join("systemd"), "").expect("written");
    root
}

/// Every file and link below a folder.
fn files(root: &Path) -> Vec<String> {
    let listed =
        lab::run_ok(Command::new("find").arg(root).args(["!", "-type", "d", "-printf", "%P\\n"]));
    let mut files: Vec<_> = listed.lines().map(str::to_owned).collect();
    files.sort();
    files
}

#[test]
fn an_image_gets_program_units_and_links_and_loses_them_again() {
    let image = image();
    let root = image.path();
    let before = files(root);
    let answer = service(root, &["status"]);
    assert!(answer.code == Some(1) && answer.stdout.contains("missing"), "{answer:?}");

    let answer = service(root, &["install"]);
    assert!(answer.ok() && answer.stdout.contains("next boot"), "{answer:?}");
    let program = std::fs::metadata(root.join("usr/local/bin/seawall")).expect("installed");
    assert_eq!((program.uid(), program.permissions().mode() & 0o7777), (0, 0o755));
    let wants = root.join("etc/systemd/system/sysinit.target.wants");
    for unit in ["seawall.service", "seawall-early.service"] {
        let link = std::fs::read_link(wants.join(unit)).expect("enabled");
        assert!(link.ends_with(Path::new("etc/systemd/system").join(unit)), "{link:?}");
    }
    assert!(root.join("etc/sysusers.d/seawall.conf").exists());
    assert!(service(root, &["status"]).ok());

    let installed = files(root);
    let again = service(root, &["install"]);
    assert!(again.ok() && !again.stdout.contains("wrote "), "{again:?}");
    assert!(again.stdout.contains("is this program already"), "{again:?}");
    assert_eq!(files(root), installed);

    for folder in ["etc/seawall", "var/lib/seawall"] {
        std::fs::create_dir_all(root.join(folder)).expect("a folder");
        std::fs::write(root.join(folder).join("kept"), "").expect("written");
    }
    let answer = service(root, &["uninstall"]);
    assert!(answer.ok() && answer.stdout.contains("--purge"), "{answer:?}");
    let mut kept = before.clone();
    kept.extend(["etc/seawall/kept", "var/lib/seawall/kept"].map(str::to_owned));
    kept.sort();
    assert_eq!(files(root), kept);
    let answer = service(root, &["uninstall", "--purge"]);
    assert!(answer.ok(), "{answer:?}");
    assert_eq!(files(root), before);
}

#[test]
fn what_would_not_work_is_refused_before_anything_is_touched() {
    let empty = TempDir::with_prefix("seawall-image-").expect("a folder");
    let answer = service(empty.path(), &["install"]);
    assert!(answer.code == Some(1) && answer.stderr.contains("no systemd"), "{answer:?}");
    assert!(files(empty.path()).is_empty());

    // The package's units and these would start two.
    let packaged = image();
    let unit = packaged.path().join("usr/lib/systemd/system/seawall.service");
    std::fs::create_dir_all(unit.parent().expect("it has one")).expect("a folder");
    std::fs::write(&unit, "").expect("written");
    for what in ["install", "uninstall"] {
        let answer = service(packaged.path(), &[what]);
        assert!(answer.code == Some(1) && answer.stderr.contains("package"), "{answer:?}");
    }
    assert!(!packaged.path().join("usr/local/bin/seawall").exists());
}
