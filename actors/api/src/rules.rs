//! `GET /v1/rules`: every rule in force, and what it did.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use seawall_messages::api::{RuleInForce, RulesInForce};
use seawall_messages::datapath::{self, RuleHits};
use seawall_messages::policy::RuleList;
use seawall_messages::rule::{Rule, Rules};
use seawall_messages::setting::Origin;
use seawall_messages::{Layer, Snapshot};

use crate::actor::Services;
use crate::error::Error;
use crate::routes::{LOOK, ask};

/// Of which rule something is told.
type Place = (Layer, Option<Arc<str>>, Arc<str>);

pub(crate) async fn rules(State(services): State<Services>) -> Result<Json<RulesInForce>, Error> {
    let hits =
        ask("datapath", &services.datapath, LOOK, |reply| datapath::Message::RuleHits { reply });
    Ok(Json(in_force(&services.snapshot.load(), hits.await?)))
}

/// The lists of the policy, those of apps first, as they are looked at.
fn in_force(snapshot: &Snapshot, hits: Vec<RuleHits>) -> RulesInForce {
    let by_place = |hit: RuleHits| ((hit.layer, hit.app.clone(), Arc::clone(&hit.rule)), hit);
    let hits: HashMap<Place, RuleHits> = hits.into_iter().map(by_place).collect();
    let mut rules = Vec::new();
    let everything = usize::MAX;
    let of_apps = snapshot.apps.iter().map(|app| (app, everything));
    // A profile of several fingerprints has its rules once.
    let mut named = HashSet::new();
    let profiles = snapshot.profiles.iter().filter(|app| named.insert(Arc::clone(&app.name)));
    for (app, managed) in of_apps.chain(profiles.map(|app| (app, 0))) {
        let of = Some(&app.name);
        let filter = &app.filter;
        enter(&mut rules, of, RuleList::Outgoing, (&filter.outgoing_rules, managed), &hits);
        enter(&mut rules, of, RuleList::Incoming, (&filter.incoming_rules, managed), &hits);
    }
    let (all, managed) = (&snapshot.filter, snapshot.managed);
    let outgoing = (&all.outgoing_rules, managed.outgoing);
    enter(&mut rules, None, RuleList::Outgoing, outgoing, &hits);
    enter(&mut rules, None, RuleList::Incoming, (&all.incoming_rules, managed.incoming), &hits);
    RulesInForce { generation: snapshot.generation, rules }
}

/// `managed`: how many of the rules, from the first on, are the file's.
fn enter(
    into: &mut Vec<RuleInForce>,
    app: Option<&Arc<str>>,
    list: RuleList,
    (rules, managed): (&Rules, usize),
    hits: &HashMap<Place, RuleHits>,
) {
    let layer = match list {
        RuleList::Outgoing => Layer::OutgoingRule,
        RuleList::Incoming => Layer::IncomingRule,
    };
    into.extend((1..).zip(rules.iter()).map(|(position, rule)| {
        let hit = hits.get(&(layer, app.cloned(), Arc::clone(&rule.text)));
        RuleInForce {
            app: app.cloned(),
            list,
            position,
            origin: if position as usize <= managed { Origin::File } else { Origin::Store },
            rule: Arc::clone(&rule.text),
            idle: why_idle(rule),
            connections: hit.map_or(0, |hit| hit.connections),
            last: hit.map(|hit| hit.last),
        }
    }));
}

/// Why a rule decides nothing.
fn why_idle(rule: &Rule) -> Option<String> {
    if !rule.is_active {
        return Some(rule.why_not());
    }
    rule.lacks().map(|data| format!("it needs {}", data.missing()))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use seawall_messages::policy::{AppFilter, AppPolicy, Filter, Fingerprint};
    use seawall_messages::rule::{Country, Entity, Permission, When};

    use super::*;

    fn rule(text: &str, entity: Entity, is_active: bool) -> Rule {
        let when = When { off: !is_active, ..When::default() };
        let permission = Permission::Deny;
        Rule {
            permission,
            entity,
            service: None,
            when,
            only: None,
            is_active,
            text: Arc::from(text),
        }
    }

    #[test]
    fn each_rule_is_told_with_its_place_and_what_it_did() {
        let place = Country::of_code("AT").map_or(Entity::Any, Entity::Country);
        let all =
            [rule("a", Entity::Any, true), rule("b", Entity::Any, false), rule("c", place, true)];
        let own = AppFilter {
            incoming_rules: [rule("a", Entity::Any, true)].into_iter().collect(),
            ..AppFilter::default()
        };
        let app =
            AppPolicy { name: Arc::from("x"), fingerprint: Fingerprint::default(), filter: own };
        let filter = Filter { outgoing_rules: all.into_iter().collect(), ..Filter::permit_all() };
        let snapshot = Snapshot { filter, apps: vec![app], ..Snapshot::unloaded() };
        let hits = |layer, app: Option<&str>, connections| RuleHits {
            layer,
            app: app.map(Arc::from),
            rule: Arc::from("a"),
            connections,
            last: SystemTime::UNIX_EPOCH,
        };
        let hits =
            vec![hits(Layer::OutgoingRule, None, 7), hits(Layer::IncomingRule, Some("x"), 2)];
        let told = in_force(&snapshot, hits).rules;
        let seen: Vec<_> = told
            .iter()
            .map(|rule| (rule.app.as_deref(), rule.position, &*rule.rule, rule.connections))
            .collect();
        let expected =
            [(Some("x"), 1, "a", 2), (None, 1, "a", 7), (None, 2, "b", 0), (None, 3, "c", 0)];
        assert_eq!(seen, expected);
        let idle: Vec<_> = told.iter().map(|rule| rule.idle.is_some()).collect();
        assert_eq!(idle, [false, false, true, true]);
    }
}
