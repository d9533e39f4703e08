//! Apps that were seen: each gets a profile, by a name that people know, and loses it
//! when it is of no more use.

use std::path::Path;
use std::time::{Duration, Instant};

use seawall_messages::policy::{Fingerprint, NewProfile, SeenApp};
use seawall_messages::setting::{MAX_PROFILES, Values};

use super::Policy;
use super::edits::now_s;
use crate::error::Error;
use crate::store::Edit;
use crate::stored::{Stored, fingerprint_of};
use crate::{changes, events, tidy};

/// Profiles that are made of their own accord, as long as there are no more: room is left for others.
const MOST_SEEN: usize = MAX_PROFILES / 2;

/// Most apps that wait for a store that can be written.
const MOST_UNSTORED: usize = 1_000;

/// How often profiles of no use are looked for.
const TIDY_EVERY: Duration = Duration::from_hours(1);

impl Policy {
    /// Apps that nothing is about yet get a profile that says nothing: people find them there.
    pub(super) fn take_up_seen(&mut self, apps: Vec<SeenApp>) -> Result<(), Error> {
        let mut apps = [std::mem::take(&mut self.unstored), apps].concat();
        let (edit, known) = self.taken_up(&apps);
        if edit == Edit::default() {
            return Ok(());
        }
        match self.keep(|store| store.edit(&edit))? {
            Ok(()) => {
                events::AppsSeen { profiles: &edit.profiles }.emit();
                events::Tidied { profiles: edit.removed.len() }.emit();
                self.stored = known;
            }
            Err(_) => {
                apps.truncate(MOST_UNSTORED);
                self.unstored = apps;
            }
        }
        Ok(())
    }

    /// What is to be stored of apps that were seen, and what is stored then.
    fn taken_up(&mut self, apps: &[SeenApp]) -> (Edit, Stored) {
        let now_s = now_s();
        let mut known = self.stored.clone();
        let mut edit = Edit::default();
        let mut seen = Vec::new();
        for app in apps {
            let fingerprint = fingerprint_of(&app.app);
            match known.about(&fingerprint) {
                Some(id) => {
                    let last_seen_s = known.last_seen_s(id);
                    if last_seen_s.is_some_and(|last| tidy::is_worth_a_note(last, now_s)) {
                        known.note_seen(&[(id, Some(now_s))]);
                        seen.push((id, Some(now_s)));
                    }
                }
                None => {
                    // What can't be named in a profile has none.
                    let Some(profile) = new_profile(&known, app, fingerprint, now_s) else {
                        continue;
                    };
                    known.put(&profile);
                    known.note_seen(&[(profile.id, Some(now_s))]);
                    seen.push((profile.id, Some(now_s)));
                    edit.profiles.push(profile);
                }
            }
        }
        edit.seen = seen;
        if self.tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_EVERY) {
            self.tidied = Some(Instant::now());
            edit.removed = tidy::of_no_use(&known, now_s, is_gone);
            edit.removed.iter().for_each(|id| known.forget(*id));
            let stays = |id: u32| !edit.removed.contains(&id);
            edit.profiles.retain(|profile| stays(profile.id));
            edit.seen.retain(|(id, _)| stays(*id));
        }
        (edit, known)
    }
}

fn new_profile(
    known: &Stored,
    app: &SeenApp,
    fingerprint: Fingerprint,
    now_s: u64,
) -> Option<seawall_messages::policy::Profile> {
    if known.len() >= MOST_SEEN {
        return None;
    }
    let name = changes::nearest_free_name(known, &app.name);
    let new = NewProfile { name, matches: vec![fingerprint], settings: Values::new() };
    changes::new_profile(known, &new, &[], now_s).ok()
}

/// Whether the file of the host that it names is there no more. Of whom nobody can tell, it isn't.
fn is_gone(of: &Fingerprint) -> bool {
    let path = of.path.as_ref().map(|path| path.as_str());
    let script = of.tag.as_ref().and_then(|tag| tag.as_str().strip_prefix("script:"));
    let file = path.or(script).filter(|file| file.starts_with('/') && !file.contains('*'));
    file.is_some_and(|file| matches!(Path::new(file).try_exists(), Ok(false)))
}
