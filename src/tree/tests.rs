//! The tree as a picture, checked against the manifest.

use seawall_runtime::{Spec, TreeBuilder};

use super::{declare, manifest};

fn specs() -> Vec<Spec> {
    let mut tree = TreeBuilder::new(|reason| panic!("a tree that never starts failed: {reason}"));
    declare(&mut tree).expect("event descriptors");
    tree.specs()
}

/// One line a component, in the order of their start.
fn render(specs: &[Spec]) -> String {
    let line = |spec: &Spec| {
        let mut text = format!("{:8} {:14}", spec.group, spec.name);
        if !spec.asks.is_empty() {
            text.push_str(&format!(" asks {}", spec.asks.join(", ")));
        }
        if !spec.tells.is_empty() {
            text.push_str(&format!(" tells {}", spec.tells.join(", ")));
        }
        text.trim_end().to_owned() + "\n"
    };
    specs.iter().map(line).collect()
}

#[test]
fn the_tree_looks_like_this() {
    let picture = "\
control  keeper
control  network        tells policy
control  policy         tells datapath
packets  process        tells datapath, policy
edge     prompt         asks policy tells datapath
packets  verdict        asks process, prompt
packets  datapath/new   asks verdict tells datapath/rest, datapath
packets  datapath/rest  tells datapath
control  datapath       asks keeper, verdict tells keeper, process, datapath/new, datapath/rest
edge     api            asks policy, datapath, process, prompt, verdict
";
    assert_eq!(render(&specs()), picture);
}

#[test]
fn who_asks_is_started_after_who_answers() {
    let specs = specs();
    let place = |name: &str| specs.iter().position(|spec| spec.name == name);
    for spec in &specs {
        for asked in spec.asks {
            assert!(place(asked) < place(spec.name), "{} asks {asked}", spec.name);
        }
    }
}

#[test]
fn every_row_names_peers_and_groups_that_exist() {
    let specs = specs();
    let names: Vec<_> = specs.iter().map(|spec| spec.name).collect();
    for spec in &specs {
        for peer in spec.asks.iter().chain(spec.tells) {
            assert!(names.contains(peer), "{} knows {peer}", spec.name);
        }
        assert!(manifest::GROUPS.iter().any(|group| group.name == spec.group), "{}", spec.name);
        assert!(!spec.while_down.is_empty(), "{}", spec.name);
    }
}
