//! What has to be known before anything starts: `[service]` and `[metrics]`
//! of the policy file.

use std::net::SocketAddr;
use std::path::Path;

use seawall_messages::keeper::Layout;
use seawall_messages::policy::Mode;
use seawall_platform::linux::rules::Backend;
use seawall_policy::file::BackendChoice;
use seawall_policy::{ServiceSettings, store};

use crate::cli::WorkerArguments;

/// The settings that hold from the start to the end of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// What traffic does while Seawall is absent, until the policy says otherwise.
    pub(crate) mode: Mode,
    /// Queues, mark bits, labels.
    pub(crate) layout: Layout,
    /// Which program writes the rules; `None`: the first that works.
    pub(crate) backend: Option<Backend>,
    /// Where metrics are served.
    pub(crate) metrics: Option<SocketAddr>,
}

/// The settings of the file; safe defaults where there never was one; those
/// of the last good copy in the state folder where the file is bad.
///
/// An error is text for people: every problem of the file with its place.
pub(crate) fn load(config: &Path, state_dir: &Path) -> Result<Settings, String> {
    let startup = seawall_policy::startup(config, &state_dir.join(store::FOLDER_NAME))
        .map_err(|error| crate::verbs::describe(&error))?;
    Ok(startup.service.into())
}

/// What the file said when the keeper started, as far as a change of it needs a restart.
pub(crate) fn running(arguments: &WorkerArguments, layout: &Layout) -> ServiceSettings {
    ServiceSettings {
        backend: match arguments.backend {
            None => BackendChoice::Auto,
            Some(Backend::Nft) => BackendChoice::Nft,
            Some(Backend::IptablesNft) => BackendChoice::IptablesNft,
            Some(Backend::IptablesLegacy) => BackendChoice::IptablesLegacy,
        },
        queue_base: layout.queue_base,
        mark_shift: layout.mark_shift,
        label_base: layout.label_base,
        metrics_listen: arguments.metrics,
        ..ServiceSettings::default()
    }
}

/// A back-end by its name in the policy file.
pub(crate) fn backend_of_name(name: &str) -> Result<Backend, String> {
    match name {
        "nft" => Ok(Backend::Nft),
        "iptables-nft" => Ok(Backend::IptablesNft),
        "iptables-legacy" => Ok(Backend::IptablesLegacy),
        _ => Err(format!("there is no back-end {name}")),
    }
}

/// The name of a back-end in the policy file.
pub(crate) fn backend_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Nft => "nft",
        Backend::IptablesNft => "iptables-nft",
        Backend::IptablesLegacy => "iptables-legacy",
    }
}

impl From<ServiceSettings> for Settings {
    fn from(settings: ServiceSettings) -> Self {
        let backend = match settings.backend {
            BackendChoice::Auto => None,
            BackendChoice::Nft => Some(Backend::Nft),
            BackendChoice::IptablesNft => Some(Backend::IptablesNft),
            BackendChoice::IptablesLegacy => Some(Backend::IptablesLegacy),
        };
        Self {
            mode: settings.mode,
            layout: settings.layout(),
            backend,
            metrics: settings.metrics_listen,
        }
    }
}
