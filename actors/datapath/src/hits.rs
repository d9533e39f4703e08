//! How often each rule decided, and when last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use seawall_messages::datapath::RuleHits;
use seawall_messages::{Layer, Reason};

/// Rules that are counted: all of a large policy, and those of the policies before it.
const MOST_RULES: usize = 20_000;

/// A rule by its text, in the list of an app or of all.
type Place = (Layer, Option<Arc<str>>, Arc<str>);

/// See the module. Outlives an incarnation: it counts since the worker started.
#[derive(Debug, Default)]
pub struct Hits {
    rules: HashMap<Place, (u64, SystemTime)>,
}

impl Hits {
    /// A connection was decided for that reason.
    pub(crate) fn note(&mut self, reason: &Reason, at: SystemTime) {
        let Some((_, rule)) = &reason.rule else { return };
        if self.rules.len() >= MOST_RULES {
            self.forget_oldest();
        }
        let place = (reason.layer, reason.app.clone(), Arc::clone(rule));
        let (connections, last) = self.rules.entry(place).or_insert((0, at));
        *connections += 1;
        *last = at.max(*last);
    }

    /// All that decided, in no order.
    pub(crate) fn list(&self) -> Vec<RuleHits> {
        let hits = |(place, (connections, last)): (&Place, &(u64, SystemTime))| {
            let (layer, app, rule) = place.clone();
            RuleHits { layer, app, rule, connections: *connections, last: *last }
        };
        self.rules.iter().map(hits).collect()
    }

    /// Makes room: the half whose last connection was longest ago goes.
    fn forget_oldest(&mut self) {
        let mut times: Vec<SystemTime> = self.rules.values().map(|(_, last)| *last).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        self.rules.retain(|_, (_, last)| *last > median);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reason(rule: &str, app: Option<&str>) -> Reason {
        let rule = Some((1, Arc::from(rule)));
        Reason { rule, app: app.map(Arc::from), ..Reason::plain(Layer::OutgoingRule, "a rule") }
    }

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn each_rule_of_each_list_is_counted_for_itself() {
        let mut hits = Hits::default();
        hits.note(&reason("- *", None), at(1));
        hits.note(&reason("- *", None), at(3));
        hits.note(&reason("- *", Some("a")), at(2));
        hits.note(&Reason::plain(Layer::DefaultAction, "no rule"), at(4));
        let mut list = hits.list();
        list.sort_by_key(|hit| hit.last);
        let seen: Vec<_> =
            list.iter().map(|hit| (hit.app.as_deref(), hit.connections, hit.last)).collect();
        assert_eq!(seen, [(Some("a"), 1, at(2)), (None, 2, at(3))]);
    }

    #[test]
    fn there_is_room_for_so_many_and_the_latest_stay() {
        let mut hits = Hits::default();
        for number in 0..MOST_RULES as u64 + 1 {
            hits.note(&reason(&format!("- * TCP/{number}"), None), at(number));
        }
        let list = hits.list();
        assert!((MOST_RULES / 2 - 1..=MOST_RULES / 2 + 1).contains(&list.len()), "{}", list.len());
        assert!(list.iter().all(|hit| hit.last > at(MOST_RULES as u64 / 2 - 1)));
    }
}
