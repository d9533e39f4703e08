//! The test lab: three hosts in network namespaces, Seawall on one of them,
//! traffic between them, and what became of it.
//!
//! ```text
//!  inner ──── desk ──── peer
//!             Seawall   servers
//! ```
//!
//! Everything a [`World`] makes is its own and goes with it: namespaces with
//! unique names, processes ended by their own id, folders under the system's
//! temporary one. Nothing touches the root namespace. A program has one
//! world at a time, and `scripts/test` runs those alone that measure, so that tests measure Seawall and not each other.
//!
//! A helper that can't do its part panics with what was missing: a test that
//! uses the lab fails, it never skips.

pub mod check;
pub mod crowd;
pub mod docker;
pub mod load;
pub mod mounts;
pub mod neighbourhood;
pub mod oneshot;
pub mod pane;
pub mod picture;
pub mod probe;
pub mod process;
pub mod report;
pub mod seawall;
pub mod talk;
pub mod vitals;
pub mod wire;
pub mod world;

pub use check::{Findings, eventually, patient, uninterrupted, until};
pub use docker::DockerBridge;
pub use load::{Connect, Serve, Stream, Udp};
pub use mounts::MountNamespace;
pub use neighbourhood::Neighbourhood;
pub use oneshot::{Deed, Held, Ledger, OneShots, Programs, Shot, Way};
pub use process::{Finished, Running, run, run_ok};
pub use seawall::{Answer, Seawall, SeawallBuilder};
pub use talk::{Datagrams, Talk};
pub use world::{Family, Host, World};

/// A folder for what tests measured: `e2e/NAME` in the target folder, made if needed.
pub fn report_folder(name: &str) -> std::path::PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let target = own.ancestors().nth(3).map(std::path::Path::to_path_buf).unwrap_or_default();
    let folder = target.join("e2e").join(name);
    if let Err(error) = std::fs::create_dir_all(&folder) {
        panic!("can't make {}: {error}", folder.display());
    }
    folder
}
