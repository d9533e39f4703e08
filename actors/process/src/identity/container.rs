//! Which container a control group belongs to.

use super::unit::{unescape, user_of};

/// Hexadecimal digits of the ids of Docker, Podman, containerd, CRI-O.
const ID_DIGITS: usize = 64;

/// So many stand for a container that nobody named, as its own tools show it.
const SHORT_ID_DIGITS: usize = 12;

/// Longest name that is shown.
const MAX_NAME_CHARS: usize = 64;

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// containerd, and nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// Kubernetes, with an engine that its control groups don't name.
    Kubernetes,
    /// LXC, LXD, Incus, and LXC under libvirt.
    Lxc,
    /// systemd-nspawn, and what else is registered with machined.
    Nspawn,
    /// Nobody knows.
    Unknown,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Who runs it.
    pub engine: Engine,
    /// Its id of 64 hexadecimal digits, where it has one.
    pub id: Option<String>,
    /// Its name, where the control group tells.
    pub name: Option<String>,
    /// The user below whose control groups it runs; `None`: the system's.
    pub user: Option<u32>,
}

impl Engine {
    /// The word in ids and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::CriO => "crio",
            Self::Kubernetes => "kubernetes",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::Unknown => "unknown",
        }
    }
}

impl Container {
    /// From a control group. Of containers in a container the outermost: what is
    /// inside names its control groups as it likes.
    pub fn of(cgroup: &str) -> Option<Self> {
        let mut before = "";
        let mut user = None;
        let mut in_pod = false;
        for part in cgroup.split('/') {
            user = user_of(part).or(user);
            in_pod |= part.starts_with("kubepods");
            if let Some((engine, id, name)) = recognise(before, part, in_pod) {
                return Some(Self { engine, id, name, user });
            }
            before = part;
        }
        None
    }

    /// One that nobody knows the name of.
    pub(super) fn unknown() -> Self {
        Self { engine: Engine::Unknown, id: None, name: None, user: None }
    }

    /// `docker`, or `docker@1000` for one that is a user's.
    pub(super) fn label(&self) -> String {
        let engine = self.engine.as_str();
        self.user.map_or_else(|| engine.to_owned(), |user| format!("{engine}@{user}"))
    }

    /// What people call it: the name looked up, its own, the beginning of its id.
    pub(super) fn display_name(
        &self,
        look_up: impl FnOnce(&Self) -> Option<String>,
    ) -> Option<String> {
        let named = match &self.name {
            Some(name) => Some(plain(name)),
            // A name that had to be changed could be another container's.
            None => look_up(self).filter(|name| plain(name) == *name),
        };
        let short = || self.id.as_ref()?.get(..SHORT_ID_DIGITS).map(str::to_owned);
        named.filter(|name| !name.is_empty()).or_else(short)
    }
}

type Recognised = (Engine, Option<String>, Option<String>);

fn recognise(before: &str, part: &str, in_pod: bool) -> Option<Recognised> {
    identified(before, part, in_pod)
        .map(|(engine, id)| (engine, Some(id.to_owned()), None))
        .or_else(|| named(before, part).map(|(engine, name)| (engine, None, Some(name))))
}

/// Those with an id.
fn identified<'a>(before: &str, part: &'a str, in_pod: bool) -> Option<(Engine, &'a str)> {
    const PREFIXES: [(&str, Engine); 7] = [
        ("docker-", Engine::Docker),
        ("libpod-payload-", Engine::Podman),
        ("libpod-", Engine::Podman),
        ("cri-containerd-", Engine::Containerd),
        ("nerdctl-", Engine::Containerd),
        ("crio-", Engine::CriO),
        ("cri-o-", Engine::CriO),
    ];
    let bare = part.strip_suffix(".scope").unwrap_or(part);
    let prefixed = PREFIXES
        .into_iter()
        .find_map(|(prefix, engine)| Some((engine, bare.strip_prefix(prefix)?)))
        .filter(|(_, id)| is_id(id));
    if prefixed.is_some() {
        return prefixed;
    }
    // Without systemd, containerd writes slice:prefix:id.
    if let Some((head, id)) = part.rsplit_once(':')
        && is_id(id)
    {
        let engine = match head.rsplit(':').next() {
            Some("cri-containerd") => Engine::Containerd,
            Some("docker") => Engine::Docker,
            _ => return None,
        };
        return Some((engine, id));
    }
    if !is_id(part) {
        return None;
    }
    match before {
        "docker" => Some((Engine::Docker, part)),
        _ if in_pod => Some((Engine::Kubernetes, part)),
        _ => None,
    }
}

/// Those with a name.
fn named(before: &str, part: &str) -> Option<(Engine, String)> {
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some((Engine::Lxc, name.to_owned()));
    }
    if matches!(before, "lxc" | "lxc.payload") && !part.is_empty() {
        return Some((Engine::Lxc, part.to_owned()));
    }
    if let Some(name) = part.strip_prefix("systemd-nspawn@") {
        return Some((Engine::Nspawn, unescape(name.strip_suffix(".service")?)));
    }
    let machine = unescape(part.strip_prefix("machine-")?.strip_suffix(".scope")?);
    if machine.starts_with("qemu-") {
        // A virtual machine: its process is the host's.
        return None;
    }
    match machine.strip_prefix("lxc-").and_then(|rest| rest.split_once('-')) {
        Some((number, name)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((Engine::Lxc, name.to_owned()))
        }
        _ => Some((Engine::Nspawn, machine)),
    }
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Colons and slashes separate the parts of ids and paths.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.chars().take(MAX_NAME_CHARS).map(|c| if is_plain(c) { c } else { '_' }).collect()
}
