//! Where the demo plays: its folder, its hosts, and Seawall with a policy.

use std::path::Path;

use anyhow::Context as _;
use lab::seawall::Seawall;
use lab::{Family, Neighbourhood};
use tempfile::TempDir;

use crate::cast::Cast;

/// What names of the demo begin with.
pub(crate) const NAME: &str = "seawall-demo";
/// Names of hosts.
pub(crate) const NEIGHBOUR: &str = "neighbour";
/// Names of sites.
pub(crate) const SHOP: &str = "shop.example";
pub(crate) const NEWS: &str = "news.example";
pub(crate) const TRACKER: &str = "tracker.example";

/// The demo's folder, always at the same place. One that a killed demo left there is removed.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    let parent = std::env::temp_dir().canonicalize().context("finding the temporary folder")?;
    let earlier = parent.join(NAME);
    if earlier.symlink_metadata().is_ok() {
        std::fs::remove_dir_all(&earlier).with_context(|| {
            format!("removing {}, which an earlier demo left", earlier.display())
        })?;
    }
    named(NAME, &parent)
}

/// All hosts.
pub(crate) fn neighbourhood() -> Neighbourhood {
    Neighbourhood::with_a_desktop()
        .called(NAME)
        .behind_a_router()
        .beside_a_neighbour(NEIGHBOUR)
        .and_a_site(SHOP)
        .and_a_site(NEWS)
        .and_a_site(TRACKER)
        .built()
}

/// Seawall on the desktop.
pub(crate) fn seawall<'a>(
    place: &'a Neighbourhood,
    cast: &Cast,
    folder: &Path,
) -> anyhow::Result<Seawall<'a>> {
    let own = named("seawall", folder)?;
    Ok(Seawall::on(place.desktop()).policy(&policy(place, cast)).folder(own).start())
}

/// A folder made anew, with a mode of its own: whatever somebody else put there makes this fail.
fn named(name: &str, parent: &Path) -> anyhow::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(name)
        .rand_bytes(0)
        .tempdir_in(parent)
        .with_context(|| format!("making {name} in {}", parent.display()))
}

fn policy(place: &Neighbourhood, cast: &Cast) -> String {
    let tracker = place.site(TRACKER);
    let [tracker4, tracker6] = Family::BOTH.map(|family| tracker.address(family));
    let [neighbour4, neighbour6] =
        Family::BOTH.map(|family| place.neighbour_address(NEIGHBOUR, family));
    let backup = cast.path("backup");
    format!(
        "# The policy of the demo. Change it: Seawall sees that at once.\n\
         [filter]\n\
         default_action = \"permit\"\n\
         outgoing_rules = [\n\
         \x20   \"- {tracker4}    # {TRACKER}\",\n\
         \x20   \"- {tracker6}    # {TRACKER}\",\n\
         ]\n\
         incoming_rules = [\n\
         \x20   \"- {neighbour4}  # the noisy neighbour\",\n\
         \x20   \"- {neighbour6}  # the noisy neighbour\",\n\
         ]\n\n\
         [[app]]\n\
         name = \"the backup\"\n\
         match = {{ path = \"{}\" }}\n\
         outgoing_rules = [\"+ LAN\", \"- *\"]\n",
        backup.display()
    )
}
