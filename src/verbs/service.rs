//! `seawall service`: for machines without the package. Installs this very
//! program with the units that the package has, and takes both away again so
//! that the network works.
//!
//! Every step is said. Doing it twice is no error and changes nothing.

mod layout;
mod systemd;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use self::layout::Layout;
use self::systemd::Systemd;
use super::{Outcome, remove_rules, upgrade};
use crate::cli::{ConfigFile, Folders, ServiceVerb};
use crate::{installed, output};

pub(super) fn perform(what: ServiceVerb, root: &Path) -> Outcome {
    let done = match what {
        ServiceVerb::Status => return status(root),
        ServiceVerb::Install { no_start } => install(root, no_start),
        ServiceVerb::Uninstall { purge } => uninstall(root, purge),
    };
    done.unwrap_or_else(|problem| {
        output::complaint(problem);
        Outcome::Failed
    })
}

/// What has to hold before anything is touched.
fn prepare(root: &Path) -> Result<(Layout<'_>, Systemd), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("the service is installed and removed by root".to_owned());
    }
    let layout = Layout::below(root);
    let systemd = Systemd::of(root)?;
    if let Some(unit) = layout.unit_of_package() {
        return Err(format!(
            "{} is there: Seawall was installed as a package; use apt, or dpkg",
            unit.display()
        ));
    }
    Ok((layout, systemd))
}

fn install(root: &Path, no_start: bool) -> Result<Outcome, String> {
    let (layout, systemd) = prepare(root)?;
    let own = installed::own_path().map_err(|error| format!("can't find this program: {error}"))?;
    let program = layout.program();
    let runs = systemd.is_live() && systemd.is_active();
    let same = is_same(&own, &program);
    if !same && runs && !no_start {
        // A running one is replaced without a gap.
        output::line("a Seawall runs: upgrading it");
        if upgrade::perform(Some(&own), Path::new(layout::RUN_DIR)) != Outcome::Done {
            return Ok(Outcome::Failed);
        }
    } else if same {
        output::line(format_args!("{} is this program already", program.display()));
    } else {
        make_parent(&program)?;
        installed::copy(&own, &program)
            .map_err(|error| format!("can't install {}: {error}", program.display()))?;
        output::line(format_args!("installed {}", program.display()));
    }
    for file in layout.files() {
        let said = if write(&file.path, &file.text)? { "wrote" } else { "unchanged:" };
        output::line(format_args!("{said} {}", file.path.display()));
    }
    systemd.make_group(&layout.sysusers())?;
    systemd.enable()?;
    if systemd.is_live() && !no_start {
        systemd.start()?;
        output::line("Seawall runs; see `seawall status`");
    } else {
        output::line("Seawall starts at the next boot");
    }
    Ok(Outcome::Done)
}

fn uninstall(root: &Path, purge: bool) -> Result<Outcome, String> {
    let (layout, systemd) = prepare(root)?;
    systemd.disable()?;
    if systemd.is_live() {
        // In lockdown the rules outlive the service.
        let folders = Folders {
            config: ConfigFile { config: layout.config() },
            state_dir: layout.state_dir(),
            run_dir: layout::RUN_DIR.into(),
        };
        if remove_rules::perform(&folders) != Outcome::Done {
            return Err("nothing was removed: the network would stay as the rules say".to_owned());
        }
    }
    let program = layout.program();
    let programs = [".previous", ".new", ""].map(|ending| installed::beside(&program, ending));
    for path in layout.files().into_iter().map(|file| file.path).chain(programs) {
        remove(&path)?;
    }
    systemd.reload()?;
    if purge {
        for folder in [layout.config_dir(), layout.state_dir()] {
            remove_folder(&folder)?;
        }
        output::line("the group seawall stays: files may belong to it");
    } else {
        let (config, state) = (layout.config_dir(), layout.state_dir());
        output::line(format_args!("{} and {} stay (--purge)", config.display(), state.display()));
    }
    Ok(Outcome::Done)
}

fn status(root: &Path) -> Outcome {
    let layout = Layout::below(root);
    let systemd = match Systemd::of(root) {
        Ok(systemd) => systemd,
        Err(problem) => {
            output::complaint(problem);
            return Outcome::Failed;
        }
    };
    let there = |path: &Path| if path.exists() { "there" } else { "missing" };
    let files = layout.files().into_iter().map(|file| file.path);
    for path in std::iter::once(layout.program()).chain(files) {
        output::line(format_args!("{:8} {}", there(&path), path.display()));
    }
    if let Some(unit) = layout.unit_of_package() {
        output::line(format_args!("there    {} (the package's)", unit.display()));
    }
    let enabled = systemd.is_enabled();
    output::line(if enabled { "enabled" } else { "not enabled" });
    if !systemd.is_live() {
        return if enabled { Outcome::Done } else { Outcome::Failed };
    }
    let active = systemd.is_active();
    output::line(if active { "active; see `seawall status`" } else { "not active" });
    if enabled && active { Outcome::Done } else { Outcome::Failed }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let equal_size = || Some(fs::metadata(one).ok()?.len() == fs::metadata(other).ok()?.len());
    equal_size() == Some(true)
        && matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

/// Writes a file, whole or not at all. `false`: it is so already.
fn write(path: &Path, text: &str) -> Result<bool, String> {
    let failed = |error: io::Error| format!("can't write {}: {error}", path.display());
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(false);
    }
    make_parent(path)?;
    let new = installed::beside(path, ".new");
    fs::write(&new, text)
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(0o644)))
        .and_then(|()| fs::rename(&new, path))
        .map_err(failed)?;
    Ok(true)
}

fn make_parent(path: &Path) -> Result<(), String> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder)
        .map_err(|error| format!("can't make the folder {}: {error}", folder.display()))
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Ok(()) => output::line(format_args!("removed {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("can't remove {}: {error}", path.display())),
    }
    Ok(())
}

fn remove_folder(path: &Path) -> Result<(), String> {
    match fs::remove_dir_all(path) {
        Ok(()) => output::line(format_args!("removed {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("can't remove {}: {error}", path.display())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_the_same_again_changes_nothing() {
        let folder = std::env::temp_dir().join(format!("seawall-unit-{}", std::process::id()));
        let path = folder.join("deep").join("seawall.service");
        assert_eq!(write(&path, "one"), Ok(true));
        assert_eq!(write(&path, "one"), Ok(false));
        assert_eq!(write(&path, "two"), Ok(true));
        assert_eq!(fs::read_to_string(&path).expect("readable"), "two");
        assert!(is_same(&path, &path));
        remove(&path).expect("removed");
        remove(&path).expect("it is gone already");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
