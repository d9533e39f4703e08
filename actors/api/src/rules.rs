//! `GET /v1/rules`: every rule in force, and what it did.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use seawall_messages::api::{RuleInForce, RulesInForce};
use seawall_messages::datapath::{self, RuleHits};
use seawall_messages::policy::RuleList;
use seawall_messages::rule::{Rule, Rules};
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
    for app in &snapshot.apps {
        let of = Some(&app.name);
        enter(&mut rules, of, RuleList::Outgoing, &app.filter.outgoing_rules, &hits);
        enter(&mut rules, of, RuleList::Incoming, &app.filter.incoming_rules, &hits);
    }
    let all = &snapshot.filter;
    enter(&mut rules, None, RuleList::Outgoing, &all.outgoing_rules, &hits);
    enter(&mut rules, None, RuleList::Incoming, &all.incoming_rules, &hits);
    RulesInForce { generation: snapshot.generation, rules }
}

fn enter(
    into: &mut Vec<RuleInForce>,
    app: Option<&Arc<str>>,
    list: RuleList,
    rules: &Rules,
    hits: &HashMap<Place, RuleHits>,
) {
    let layer = match list {
        RuleList::Outgoing => Layer::OutgoingRule,
        RuleList::Incoming => Layer::IncomingRule,
    };
    into.extend((1..).zip(rules).map(|(position, rule)| {
        let hit = hits.get(&(layer, app.cloned(), Arc::clone(&rule.text)));
        RuleInForce {
            app: app.cloned(),
            list,
            position,
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
        return Some(rule.when.why_not().to_owned());
    }
    rule.entity.lacks().map(|data| format!("it needs {}", data.missing()))
}
