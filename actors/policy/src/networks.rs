//! Networks that have a name by command, beside those of the file. Pure.
//!
//! The file's come first, and what it names is locked: one of the same name in the
//! store is kept and doesn't count.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_messages::network::{
    MAX_NAME_BYTES, NamedNetwork, NetworkMatch, is_interface_pattern, is_network_name,
};
use seawall_messages::policy::{KeptNetwork, NetworkChange, PolicyRefusal};
use seawall_messages::rule::Rules;
use seawall_messages::setting::{Place, Value, Values};

use crate::file::MAX_NETWORKS;
use crate::layer;

/// What may be said of a network.
const KEYS: [&str; 5] =
    ["default_action", "block_inbound", "block_lan", "block_internet", "block_local"];

/// All that have a name, in the order in which they are looked at.
pub(crate) fn all(file: &[NamedNetwork], kept: &[KeptNetwork]) -> Vec<NamedNetwork> {
    let counting = kept.iter().filter(|kept| !is_named(file, &kept.name)).map(named);
    file.iter().cloned().chain(counting).collect()
}

fn named(KeptNetwork { name, looks, settings }: &KeptNetwork) -> NamedNetwork {
    let said = settings.iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
    let said = said.map(|(key, value)| (key.clone(), value.clone())).collect();
    let filter = layer::read(&said, Place::All).filter;
    NamedNetwork { name: Arc::clone(name), looks: looks.clone(), filter, is_here: false }
}

fn is_named(file: &[NamedNetwork], name: &str) -> bool {
    file.iter().any(|network| *network.name == *name)
}

/// What is kept and doesn't count, and why.
pub(crate) fn problems(file: &[NamedNetwork], kept: &[KeptNetwork]) -> Vec<String> {
    let of = |KeptNetwork { name, settings, .. }: &KeptNetwork| {
        let locked = is_named(file, name)
            .then(|| format!("network \"{name}\": one of the policy file is called so"));
        let wrong = settings.iter().filter_map(|(key, value)| problem(key, value));
        let wrong = wrong.map(|problem| format!("network \"{name}\": {problem}"));
        locked.into_iter().chain(wrong).collect::<Vec<_>>()
    };
    kept.iter().flat_map(of).collect()
}

/// What is kept after a change, and the network that it was about.
pub(crate) fn changed<'a>(
    file: &[NamedNetwork],
    kept: &[KeptNetwork],
    asked: &NetworkChange,
    mut rules: impl Iterator<Item = &'a Rules>,
) -> Result<(Vec<KeptNetwork>, KeptNetwork), PolicyRefusal> {
    let mut kept = kept.to_vec();
    let name = match asked {
        NetworkChange::Add(new) => &*new.name,
        NetworkChange::Remove { name } | NetworkChange::Set { name, .. } => name,
    };
    let at = kept.iter().position(|network| *network.name == *name);
    match (asked, at) {
        (NetworkChange::Add(_), _) | (_, None) if is_named(file, name) => {
            let problem =
                format!("the network {name:?} is said in the policy file, which locks it");
            Err(PolicyRefusal::Failed(problem))
        }
        (NetworkChange::Add(_), Some(_)) => {
            Err(PolicyRefusal::Failed(format!("there is a network named {name:?} already")))
        }
        (NetworkChange::Add(new), None) => {
            let new = checked(new.clone()).map_err(PolicyRefusal::Invalid)?;
            if kept.len() >= MAX_NETWORKS {
                let problem = format!("there are {MAX_NETWORKS} networks, and no room for more");
                return Err(PolicyRefusal::Failed(problem));
            }
            kept.push(new.clone());
            Ok((kept, new))
        }
        (_, None) => Err(PolicyRefusal::Failed(format!("there is no network named {name:?}"))),
        (NetworkChange::Remove { .. }, Some(at)) => {
            let names_it = |rules: &'a Rules| rules.iter().find(|rule| rule.names_network(name));
            // Where the file names one so, it is that which they name.
            let rule = rules.find_map(names_it).filter(|_| !is_named(file, name));
            if let Some(rule) = rule {
                let problem =
                    format!("`{}` names the network {name:?}: take it out first", rule.text);
                return Err(PolicyRefusal::Failed(problem));
            }
            let gone = kept.remove(at);
            Ok((kept, gone))
        }
        (NetworkChange::Set { changes, .. }, Some(at)) => {
            let settings = set(&kept[at].settings, changes).map_err(PolicyRefusal::Invalid)?;
            kept[at].settings = settings;
            let network = kept[at].clone();
            Ok((kept, network))
        }
    }
}

fn set(settings: &Values, changes: &BTreeMap<String, Option<Value>>) -> Result<Values, String> {
    let mut settings = settings.clone();
    for (key, value) in changes {
        match value {
            Some(value) => {
                if let Some(problem) = problem(key, value) {
                    return Err(problem);
                }
                settings.insert(key.clone(), value.clone());
            }
            // Whatever is kept may go, be it of use or not.
            None if settings.remove(key).is_none() && !KEYS.contains(&key.as_str()) => {
                return Err(no_setting(key));
            }
            None => {}
        }
    }
    Ok(settings)
}

/// What is wrong with a setting of a network, if anything is.
fn problem(key: &str, value: &Value) -> Option<String> {
    match KEYS.contains(&key) {
        true => layer::problem(key, value, Place::All, &[]),
        false => Some(no_setting(key)),
    }
}

fn no_setting(key: &str) -> String {
    format!("{key}: found no setting of a network; expected one of {}", KEYS.join(", "))
}

/// A network that somebody wants to name, in the form in which it is kept.
pub(crate) fn checked(network: KeptNetwork) -> Result<KeptNetwork, String> {
    let KeptNetwork { name, looks, settings } = network;
    if !is_network_name(&name) {
        return Err(format!(
            "name: found {name:?}; expected a name of 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`"
        ));
    }
    if looks.is_empty() {
        return Err("match: found nothing; expected at least one of gateway, gateway_mac, subnet, interface, ssid".to_owned());
    }
    if let Some(pattern) = looks.interface.as_ref().filter(|it| !is_interface_pattern(it)) {
        return Err(format!(
            "interface: found {pattern:?}; expected the name of an interface, of 1 to 15 bytes, such as eth0 or wl*"
        ));
    }
    if let Some(problem) = settings.iter().find_map(|(key, value)| problem(key, value)) {
        return Err(problem);
    }
    let looks = NetworkMatch {
        gateway: looks.gateway.map(|address| address.to_canonical()),
        subnet: looks.subnet.map(|subnet| subnet.trunc()),
        ..looks
    };
    Ok(KeptNetwork { name, looks, settings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, settings: &[(&str, bool)]) -> KeptNetwork {
        let settings = settings.iter().map(|(key, on)| ((*key).to_owned(), Value::Switch(*on)));
        let looks = NetworkMatch { gateway: "10.0.0.1".parse().ok(), ..NetworkMatch::default() };
        KeptNetwork { name: Arc::from(name), looks, settings: settings.collect() }
    }

    fn change(kept: &[KeptNetwork], asked: &NetworkChange) -> Result<Vec<KeptNetwork>, String> {
        let file = [named(&network("office", &[]))];
        let rule = crate::rule::parse("- * network!=home").expect("a rule");
        let rules = [Rules::from(vec![rule])];
        let changed = changed(&file, kept, asked, rules.iter()).map(|(kept, _)| kept);
        changed.map_err(|refusal| match refusal {
            PolicyRefusal::Invalid(why) | PolicyRefusal::Failed(why) => why,
        })
    }

    #[test]
    fn networks_are_added_changed_and_removed() {
        let [home, cafe] = [network("home", &[]), network("cafe", &[])];
        let kept = change(&[], &NetworkChange::Add(home.clone())).expect("added");
        let kept = change(&kept, &NetworkChange::Add(cafe)).expect("added");
        assert_eq!(kept.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["home", "cafe"]);
        let set = |key: &str, value| NetworkChange::Set {
            name: "cafe".to_owned(),
            changes: BTreeMap::from([(key.to_owned(), value)]),
        };
        let on = Some(Value::Switch(true));
        let kept = change(&kept, &set("block_lan", on.clone())).expect("set");
        assert_eq!(kept[1], network("cafe", &[("block_lan", true)]));
        let unset = change(&kept, &set("block_lan", None)).expect("reset");
        assert_eq!(unset[1], network("cafe", &[]));
        let remove = |name: &str| NetworkChange::Remove { name: name.to_owned() };
        let left = change(&kept, &remove("cafe")).expect("removed");
        assert_eq!(left, std::slice::from_ref(&home));
        let refused = [
            (NetworkChange::Add(home), "already"),
            (NetworkChange::Add(network("office", &[])), "locks it"),
            (NetworkChange::Add(network("a b", &[])), "letters"),
            (
                NetworkChange::Add(KeptNetwork {
                    looks: NetworkMatch::default(),
                    ..network("x", &[])
                }),
                "at least one",
            ),
            (NetworkChange::Add(network("x", &[("use_parent", true)])), "no setting of a network"),
            (set("block_lan", Some(Value::Number(1))), "true or false"),
            (set("block_moon", None), "no setting of a network"),
            (remove("office"), "locks it"),
            (remove("nowhere"), "no network named"),
            (remove("home"), "`- * network!=home` names"),
        ];
        for (asked, expected) in refused {
            let told = change(&kept, &asked).expect_err(expected);
            assert!(told.contains(expected), "{told}");
        }
        let full: Vec<_> = (0..MAX_NETWORKS).map(|at| network(&format!("n{at}"), &[])).collect();
        let told = change(&full, &NetworkChange::Add(network("x", &[]))).expect_err("full");
        assert!(told.contains("no room"), "{told}");
    }

    #[test]
    fn those_of_the_file_come_first_and_lock_their_names() {
        let file = [named(&network("home", &[("block_lan", true)]))];
        let kept = [network("home", &[]), network("cafe", &[("block_local", true)])];
        let all = all(&file, &kept);
        assert_eq!(all.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["home", "cafe"]);
        assert_eq!(all[0].filter.block_lan, Some(true));
        assert_eq!(all[1].filter.block_local, Some(true));
        assert_eq!(problems(&file, &kept).len(), 1);
        let odd = [network("x", &[("block_moon", true)])];
        assert!(problems(&file, &odd)[0].contains("block_moon"));
    }
}
