//! What people think of as one program.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What people think of as one program, whatever its version, process or place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct App {
    /// The same for all processes of the app, over restarts and updates:
    /// `path:/usr/bin/curl`, `snap:firefox`, `script:/usr/bin/apt-listchanges`.
    pub id: Arc<str>,
    /// What it was recognised by.
    pub kind: AppKind,
    /// A name for people.
    pub name: Arc<str>,
    /// Name or path of its icon, from its desktop file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub icon: Option<Arc<str>>,
}

impl App {
    /// The app of connections that nobody knows the owner of.
    pub fn unidentified() -> Self {
        Self {
            id: Arc::from("unidentified"),
            kind: AppKind::Unidentified,
            name: Arc::from("Unidentified"),
            icon: None,
        }
    }
}

/// What an app was recognised by. The words are what a rule's `tag` names: `snap:firefox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppKind {
    /// The path of its file.
    Path,
    /// The script that an interpreter runs.
    Script,
    /// A Snap package.
    Snap,
    /// A Flatpak package.
    Flatpak,
    /// An AppImage, by the path of its image.
    AppImage,
    /// A package of the Nix store, without its hash and version.
    Nix,
    /// A container.
    Container,
    /// The kernel itself.
    Kernel,
    /// Nobody knows.
    Unidentified,
}

impl AppKind {
    /// The word in ids, tags, JSON and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Script => "script",
            Self::Snap => "snap",
            Self::Flatpak => "flatpak",
            Self::AppImage => "app_image",
            Self::Nix => "nix",
            Self::Container => "container",
            Self::Kernel => "kernel",
            Self::Unidentified => "unidentified",
        }
    }
}
