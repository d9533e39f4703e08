//! Package formats: Snap, Flatpak, AppImage, Nix.

use super::script::normalise;
use super::unit::unescape;
use super::version::file_without_version;
use super::{Facts, Place};

const SNAP_FOLDERS: [&str; 2] = ["/snap/", "/var/lib/snapd/snap/"];

/// Characters of the random end of an AppImage's mount point.
const RANDOM_CHARACTERS: usize = 6;

/// Characters of the hash before the name of a package of the Nix store.
const NIX_HASH_CHARACTERS: usize = 32;

/// The snap that a process belongs to. Its file says so; a program of the
/// snap's base system is known by its control group, then by its environment.
///
/// snapd makes no user namespace: who has one only looks like a snap. A program of the host
/// in a snap's control group is one that a classic snap started, an editor's terminal for example.
pub(super) fn snap(facts: &Facts) -> Option<String> {
    if !facts.in_our_user_namespace {
        return None;
    }
    let own = snap_of_path(&facts.exe).filter(|name| is_snap_name(name));
    if let Some(name) = own
        && !is_base(name)
    {
        return Some(name.to_owned());
    }
    if own.is_none() && facts.place != Place::Foreign {
        return None;
    }
    let environment = &facts.environment;
    let by_cgroup = || snap_of_cgroup(&facts.cgroup);
    let by_environment = || {
        let folder = environment.snap.as_deref()?;
        let instance = environment.snap_instance_name.as_deref();
        let name = instance.or(environment.snap_name.as_deref()).or_else(|| snap_of_path(folder));
        name.filter(|name| is_snap_name(name)).map(str::to_owned)
    };
    by_cgroup().or_else(by_environment).or_else(|| own.map(str::to_owned))
}

fn snap_of_path(path: &str) -> Option<&str> {
    let rest = SNAP_FOLDERS.into_iter().find_map(|folder| path.strip_prefix(folder))?;
    let (name, _) = rest.split_once('/')?;
    Some(name)
}

/// From `snap.NAME.APP-UUID.scope`, `snap.NAME.APP.service`.
fn snap_of_cgroup(cgroup: &str) -> Option<String> {
    cgroup.split('/').find_map(|part| {
        let name = unescape(part.strip_prefix("snap.")?.split('.').next()?);
        is_snap_name(&name).then_some(name)
    })
}

fn is_snap_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    !name.is_empty() && name.len() <= 51 && name.bytes().all(is_plain)
}

/// Snaps whose files run for other snaps.
fn is_base(name: &str) -> bool {
    let is_numbered = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_desktop = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    is_numbered("core")
        || matches!(name, "bare" | "snapd")
        || name.strip_prefix("gnome-").is_some_and(is_desktop)
}

/// The Flatpak that a process belongs to: by its control group, else by its
/// environment if its file lies in `/app`. It never sees the host's mounts.
pub(super) fn flatpak(facts: &Facts) -> Option<String> {
    if facts.place != Place::Foreign {
        return None;
    }
    let exe = facts.exe.strip_prefix("/newroot").unwrap_or(&facts.exe);
    flatpak_of_cgroup(&facts.cgroup).or_else(|| {
        let id = facts.environment.flatpak_id.clone()?;
        (exe.starts_with("/app/") && is_flatpak_id(&id)).then_some(id)
    })
}

/// From `app-flatpak-ID-NUMBER.scope`.
fn flatpak_of_cgroup(cgroup: &str) -> Option<String> {
    cgroup.split('/').find_map(|part| {
        let rest = part.strip_prefix("app-flatpak-")?.strip_suffix(".scope")?;
        let (id, number) = rest.rsplit_once('-')?;
        let id = unescape(id);
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        (is_number && is_flatpak_id(&id)).then_some(id)
    })
}

fn is_flatpak_id(id: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    id.len() <= 255 && id.contains('.') && id.bytes().all(is_plain)
}

/// An AppImage.
pub(super) struct AppImage {
    /// Path of the image, its version left out; the name of its mount point where nobody knows.
    pub(super) id: String,
    /// What it is called.
    pub(super) name: String,
    /// Path of the image.
    pub(super) path: Option<String>,
}

/// The image that a process's file lies in: the environment tells its path,
/// the mount point the beginning of its name.
pub(super) fn app_image(facts: &Facts) -> Option<AppImage> {
    let (folder, rest) = mounted(&facts.exe)?;
    let environment = &facts.environment;
    let is_mount = |path: &str| path.trim_end_matches('/') == folder;
    if let (Some(image), Some(mount)) = (&environment.app_image, &environment.app_directory)
        && is_mount(mount)
        && image.starts_with('/')
    {
        let image = normalise(image);
        let (parent, file) = image.rsplit_once('/')?;
        let file = file_without_version(file);
        let name = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
        let name = name.split('*').next().unwrap_or(name).trim_end_matches(['-', '_']);
        let name = name.to_owned();
        return Some(AppImage { id: format!("{parent}/{file}"), name, path: Some(image) });
    }
    let cut = rest.char_indices().rev().nth(RANDOM_CHARACTERS - 1).map(|(at, _)| at)?;
    let name = rest.get(..cut).filter(|name| !name.is_empty())?.to_owned();
    Some(AppImage { id: name.clone(), name, path: None })
}

/// The folder that an image is mounted at, and what follows `.mount_` in its name.
fn mounted(exe: &str) -> Option<(&str, &str)> {
    const MOUNT: &str = "/.mount_";
    let at = exe.find(MOUNT)?;
    let rest = exe.get(at + MOUNT.len()..)?;
    let (name, _) = rest.split_once('/')?;
    let folder = exe.get(..at + MOUNT.len() + name.len())?;
    Some((folder, name))
}

/// The package of the Nix store that a file belongs to, without hash and version.
/// The version begins at the first dash that no letter follows, as for Nix itself.
pub(super) fn nix(path: &str) -> Option<&str> {
    let (entry, _) = path.strip_prefix("/nix/store/")?.split_once('/')?;
    let (hash, name) = entry.split_once('-')?;
    let is_hash = hash.len() == NIX_HASH_CHARACTERS
        && hash.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    let is_end = |(at, _): &(usize, &str)| {
        let after = name.as_bytes().get(at + 1);
        after.is_some_and(|b| !b.is_ascii_alphabetic())
    };
    let end = name.match_indices('-').find(is_end).map_or(name.len(), |(at, _)| at);
    let name = name.get(..end)?;
    (is_hash && !name.is_empty()).then_some(name)
}
