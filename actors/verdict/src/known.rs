//! Which app processes belong to, as learnt from earlier answers.
//!
//! Holds under one policy only: a new one may tell apps apart by what did not
//! matter before, and looks anew at what a process has since done to itself.
//! Keys that don't count programs are not taken, so that what a process was
//! before an exec is never said of what it became.

use std::collections::{HashMap, VecDeque};

use seawall_messages::policy::{AppPlace, PolicyGeneration};
use seawall_messages::process::{Attribution, Owner, ProcessKey};
use seawall_messages::verdict::Request;

/// Most processes that are remembered. More than that rarely use the network at
/// once; one that was forgotten costs a question.
pub(crate) const MAX_KNOWN: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Known {
    generation: PolicyGeneration,
    places: HashMap<ProcessKey, AppPlace>,
    /// Oldest first.
    order: VecDeque<ProcessKey>,
}

impl Known {
    /// What is known of the owner of a connection.
    pub(crate) fn recall(
        &self,
        generation: PolicyGeneration,
        owner: Option<Owner>,
    ) -> Option<AppPlace> {
        if generation != self.generation {
            return None;
        }
        self.places.get(&owner?.process).copied()
    }

    /// Remembers; the oldest is forgotten where there are too many.
    pub(crate) fn learn(&mut self, generation: PolicyGeneration, key: ProcessKey, place: AppPlace) {
        if generation < self.generation {
            return;
        }
        if generation > self.generation {
            *self = Self { generation, ..Self::default() };
        }
        if self.places.insert(key, place).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }
}

/// The process that an answer may be remembered for: the one that the kernel
/// noted, if it is the one that the answer names, told from what it was before.
pub(crate) fn confirmed(request: &Request, attribution: &Attribution) -> Option<ProcessKey> {
    let noted = request.owner?.process;
    let named = attribution.process.as_ref()?.key;
    (noted.exec_id.is_some() && noted == named).then_some(noted)
}

#[cfg(test)]
mod tests {
    use seawall_messages::Snapshot;
    use seawall_messages::policy::{AppFilter, AppPolicy, Fingerprint, Pattern};

    use super::*;

    fn key(pid: u32) -> ProcessKey {
        ProcessKey { pid, started_ticks: 1, exec_id: Some(1) }
    }

    fn owner(pid: u32) -> Option<Owner> {
        let method = seawall_messages::process::Method::Connect;
        Some(Owner { process: key(pid), cookie: 0, uid: 0, method })
    }

    /// A place that is somewhere, or nowhere.
    fn place(is_somewhere: bool) -> AppPlace {
        let fingerprint =
            Fingerprint { tag: Some(Pattern::new("unidentified")), ..Default::default() };
        let filter = AppFilter::default();
        let app = AppPolicy { name: "nobody".into(), fingerprint, filter };
        let apps = if is_somewhere { vec![app] } else { Vec::new() };
        let snapshot = Snapshot { apps, ..Snapshot::unloaded() };
        snapshot.app_place(&Attribution::unidentified())
    }

    #[test]
    fn a_new_policy_forgets_everybody_and_an_old_one_teaches_nothing() {
        let [old, new] = [PolicyGeneration(1), PolicyGeneration(2)];
        let mut known = Known::default();
        known.learn(old, key(1), place(true));
        assert_eq!(known.recall(old, owner(1)), Some(place(true)));
        assert_eq!(known.recall(old, owner(2)), None);
        assert_eq!(known.recall(old, None), None);
        assert_eq!(known.recall(new, owner(1)), None);
        known.learn(new, key(2), place(false));
        known.learn(old, key(1), place(true));
        assert_eq!(known.recall(new, owner(1)), None);
        assert_eq!(known.recall(new, owner(2)), Some(place(false)));
        assert_eq!(known.recall(old, owner(2)), None);
    }

    #[test]
    fn the_oldest_is_forgotten_where_there_are_too_many() {
        let generation = PolicyGeneration(1);
        let mut known = Known::default();
        let last = u32::try_from(MAX_KNOWN).expect("a few thousand");
        for pid in 0..=last {
            known.learn(generation, key(pid), place(false));
            known.learn(generation, key(pid), place(true));
        }
        assert_eq!((known.places.len(), known.order.len()), (MAX_KNOWN, MAX_KNOWN));
        assert_eq!(known.recall(generation, owner(0)), None);
        assert_eq!(known.recall(generation, owner(1)), Some(place(true)));
        assert_eq!(known.recall(generation, owner(last)), Some(place(true)));
    }
}
