//! Whether a declared tree makes sense.

use std::collections::{HashMap, HashSet};

use crate::spec::Spec;

/// What is wrong with a tree, if anything. Groups: all names, the root's among them.
pub(super) fn check(groups: &[&'static str], specs: &[Spec]) -> Result<(), String> {
    if let Some(name) = first_repeated(groups.iter().copied()) {
        return Err(format!("two groups are named {name}"));
    }
    if let Some(name) = first_repeated(specs.iter().map(|spec| spec.name)) {
        return Err(format!("two components are named {name}"));
    }
    let by_name: HashMap<&str, &Spec> = specs.iter().map(|spec| (spec.name, spec)).collect();
    for spec in specs {
        if !groups.contains(&spec.group) {
            return Err(format!("{} is in the unknown group {}", spec.name, spec.group));
        }
        let mut peers = spec.asks.iter().chain(spec.tells);
        if let Some(peer) = peers.find(|peer| !by_name.contains_key(**peer)) {
            return Err(format!("{} has the undeclared peer {peer}", spec.name));
        }
    }
    match cycle(specs, &by_name) {
        Some(cycle) => Err(format!("asks go in a circle: {}", cycle.join(" -> "))),
        None => Ok(()),
    }
}

fn first_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

/// A circle of components, each of which asks the next.
fn cycle<'a>(specs: &'a [Spec], by_name: &HashMap<&str, &'a Spec>) -> Option<Vec<&'a str>> {
    let mut cleared = HashSet::new();
    specs.iter().find_map(|spec| walk(spec, by_name, &mut Vec::new(), &mut cleared))
}

fn walk<'a>(
    spec: &'a Spec,
    by_name: &HashMap<&str, &'a Spec>,
    path: &mut Vec<&'a str>,
    cleared: &mut HashSet<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(start) = path.iter().position(|name| *name == spec.name) {
        return Some(path[start..].iter().copied().chain([spec.name]).collect());
    }
    if cleared.contains(spec.name) {
        return None;
    }
    path.push(spec.name);
    let asked = spec.asks.iter().filter_map(|peer| by_name.get(peer));
    let found = asked.into_iter().find_map(|peer| walk(peer, by_name, path, cleared));
    path.pop();
    cleared.insert(spec.name);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &'static str, group: &'static str, asks: &'static [&'static str]) -> Spec {
        Spec {
            name,
            group,
            intensity: Default::default(),
            backoff: Default::default(),
            mailbox: Default::default(),
            deadlines: Default::default(),
            asks,
            tells: &[],
            while_down: "",
        }
    }

    #[test]
    fn a_tree_that_makes_no_sense_is_refused() {
        let root = ["root"];
        let told = Spec { tells: &["ghost"], ..spec("a", "root", &[]) };
        let cases: [(&[&str], Vec<Spec>, &str); 6] = [
            (&["root", "root"], vec![], "two groups are named root"),
            (
                &root,
                vec![spec("a", "root", &[]), spec("a", "root", &[])],
                "two components are named a",
            ),
            (&root, vec![spec("a", "attic", &[])], "a is in the unknown group attic"),
            (&root, vec![told], "a has the undeclared peer ghost"),
            (&root, vec![spec("a", "root", &["a"])], "asks go in a circle: a -> a"),
            (
                &root,
                vec![
                    spec("z", "root", &["a"]),
                    spec("a", "root", &["b"]),
                    spec("b", "root", &["c"]),
                    spec("c", "root", &["a"]),
                ],
                "asks go in a circle: a -> b -> c -> a",
            ),
        ];
        for (groups, specs, expected) in cases {
            assert_eq!(check(groups, &specs), Err(expected.to_owned()));
        }
    }

    #[test]
    fn telling_back_is_no_circle() {
        let told = Spec { tells: &["a"], ..spec("b", "root", &[]) };
        assert_eq!(check(&["root"], &[spec("a", "root", &["b"]), told]), Ok(()));
    }
}
