//! Which profiles of apps that were seen are of no more use. Pure.
//!
//! Only those that were made because an app was seen, and that say nothing: nobody
//! loses a word that was said. Who is seen again has one again.

use std::time::Duration;

use seawall_messages::policy::Fingerprint;

use crate::stored::Stored;

/// How long an app isn't seen before its profile goes.
const UNSEEN_FOR: Duration = Duration::from_hours(90 * 24);

/// More profiles than this leave too little room for apps to come: then those go whose file is gone.
const CROWDED: usize = 4_000;

/// How old a note of when an app was seen gets before it is made anew.
const NOTED_FOR: Duration = Duration::from_hours(24);

/// Ids of the profiles that may go. `is_gone`: whether the file is there no more that a
/// fingerprint names.
pub(crate) fn of_no_use(
    stored: &Stored,
    now_s: u64,
    is_gone: impl Fn(&Fingerprint) -> bool,
) -> Vec<u32> {
    let is_crowded = stored.len() > CROWDED;
    let is_over = |last_seen_s: u64| last_seen_s.saturating_add(UNSEEN_FOR.as_secs()) <= now_s;
    let mut ids: Vec<u32> = stored
        .of_seen()
        .filter(|(id, last_seen_s)| {
            let is_gone = || is_crowded && stored.matches(*id).iter().all(&is_gone);
            stored.says_nothing(*id) && (is_over(*last_seen_s) || is_gone())
        })
        .map(|(id, _)| id)
        .collect();
    ids.sort_unstable();
    ids
}

/// Whether it is to be noted that an app was seen now.
pub(crate) fn is_worth_a_note(last_seen_s: u64, now_s: u64) -> bool {
    last_seen_s.saturating_add(NOTED_FOR.as_secs()) <= now_s
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seawall_messages::policy::{AppMatch, Profile};
    use seawall_messages::setting::{Value, Values};

    use super::*;
    use crate::store::Edit;
    use crate::stored::fingerprint_of;

    fn profile(id: u32, says: bool) -> Profile {
        let said = ("block_lan".to_owned(), Value::Switch(true));
        Profile {
            id,
            name: Arc::from(format!("app {id}")),
            matches: vec![fingerprint_of(&AppMatch::Path(format!("/opt/{id}")))],
            settings: says.then_some(said).into_iter().collect(),
            problems: Vec::new(),
            created_s: 0,
        }
    }

    fn stored(count: u32, seen: Vec<(u32, Option<u64>)>) -> Stored {
        let profiles = (1..=count).map(|id| profile(id, id == 2)).collect();
        Stored::new(Values::new(), profiles).after(&Edit { seen, ..Edit::default() })
    }

    #[test]
    fn only_what_was_seen_long_ago_and_says_nothing_goes() {
        let now_s = 1_000 * 24 * 3_600;
        let days_ago = |days: u64| Some(now_s - days * 24 * 3_600);
        let seen = vec![(1, days_ago(91)), (2, days_ago(91)), (3, days_ago(89))];
        // The fourth was made by hand.
        assert_eq!(of_no_use(&stored(4, seen.clone()), now_s, |_| true), [1]);
        let of_another_hand = [seen, vec![(1, None)]].concat();
        assert_eq!(of_no_use(&stored(4, of_another_hand), now_s, |_| true), [0; 0]);
    }

    #[test]
    fn what_is_gone_goes_only_where_there_are_many() {
        let is_odd = |of: &Fingerprint| {
            let path = of.path.as_ref().map(|path| path.as_str()).unwrap_or_default();
            path.ends_with(['1', '3', '5', '7', '9'])
        };
        let all = |count| (1..=count).map(|id| (id, Some(0))).collect::<Vec<_>>();
        assert_eq!(of_no_use(&stored(4_000, all(4_000)), 1, is_odd).len(), 0);
        let gone = of_no_use(&stored(4_001, all(4_001)), 1, is_odd);
        assert_eq!((gone.len(), gone.first()), (2_001, Some(&1)));
    }

    #[test]
    fn it_is_noted_once_a_day() {
        assert!(!is_worth_a_note(1_000, 1_000 + 24 * 3_600 - 1));
        assert!(is_worth_a_note(1_000, 1_000 + 24 * 3_600));
        assert!(!is_worth_a_note(u64::MAX, 1_000), "a clock that was set back");
    }
}
