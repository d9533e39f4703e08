//! `seawall rule check` and `seawall rule test`, which need no running Seawall.

use std::process::Command;

use lab::process::Finished;
use lab::run;
use serde_json::{Value, json};

fn seawall(arguments: &[&str]) -> Finished {
    run(Command::new(lab::seawall::binary()).args(arguments))
}

fn in_json(answer: &Finished) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[test]
fn a_line_is_a_rule_that_matches_or_not_or_no_rule() {
    let cases = [
        (&["- .example.com", "--domain", "www.example.com"][..], "deny", "- .example.com"),
        (&["+ .example.com", "--domain", "www.example.org"], "none", "+ .example.com"),
        (&["+ *example.com", "--domain", "ABC-example.com."], "permit", "+ *example.com"),
        (
            &["+ example.com 17/442-444", "--domain", "example.com"],
            "none",
            "+ example.com UDP/442-444",
        ),
        (
            &["+ 10.2.3.0/24 tcp/443", "--ip", "10.2.3.4", "--protocol", "6", "--port", "443"],
            "permit",
            "+ 10.2.3.0/24 TCP/HTTPS",
        ),
        (&["+ 10.2.3.4", "--ip", "::ffff:10.2.3.4"], "permit", "+ 10.2.3.4"),
        (&["- * */443", "--ip", "10.2.3.4", "--protocol", "icmp"], "none", "- * */HTTPS"),
        (&["+ DE", "--ip", "8.8.8.8"], "none", "+ DE"),
        (&["- * # all of it"], "deny", "- *"),
    ];
    for (arguments, result, rule) in cases {
        let answer = seawall(&[&["rule", "check", "--json"], arguments].concat());
        assert_eq!(answer.code, Some(0), "{answer:?}");
        assert_eq!(in_json(&answer), json!({ "result": result, "rule": rule }), "{arguments:?}");
        let plain = seawall(&[&["rules", "check"], arguments].concat());
        assert_eq!(plain.code, Some(0), "{plain:?}");
        assert!(plain.stdout.starts_with(rule), "{plain:?}");
    }
    let wrong = seawall(&["rule", "check", "+ 10.0.0.0/33"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("expected a prefix length of 0 to 32"), "{wrong:?}");
    assert!(wrong.stderr.contains("\n               ^^"), "{wrong:?}");
    let wrong = seawall(&["rule", "check", "--json", "+ 10.0.0.0/33"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert_eq!(in_json(&wrong)["error"]["span"], json!([11, 13]));
    for arguments in [
        &["+ *", "--domain", "a..b"][..],
        &["+ *", "--ip", "10.0.0"],
        &["+ *", "--protocol", "tpc"],
        &["+ *", "--port", "0"],
        &[],
    ] {
        let wrong = seawall(&[&["rule", "check"], arguments].concat());
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_policy_is_tried_against_what_its_owner_expects() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("plain").to_owned()
    };
    let policy = file("policy.toml", "[filter]\noutgoing_rules = [\"- 9.9.9.9\"]\n");
    let met = "[[expect]]\ntarget = \"9.9.9.9\"\nresult = \"deny\"\nrule = \"- 9.9.9.9\"\n";
    let good = file("good.toml", met);
    let bad =
        file("bad.toml", &format!("{met}[[expect]]\ntarget = \"1.1.1.1\"\nresult = \"deny\"\n"));
    let none = file("none.toml", "[[expect]]\ntarget = \"9.9.9.9\"\nresult = \"maybe\"\n");
    let test = |file: &str| seawall(&["rule", "test", file, "--config", &policy]);
    let answer = test(&good);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stdout.ends_with("1 met, 0 failed\n"), "{answer:?}");
    let answer = test(&bad);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stdout.contains("FAILED"), "{answer:?}");
    let answer = test(&none);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stderr.contains("none.toml") && answer.stderr.contains("line 3"), "{answer:?}");
    let answer = seawall(&["rule", "test", "--json", &bad, "--config", &policy]);
    assert_eq!(in_json(&answer)["cases"][1]["reason"].as_str().map(str::is_empty), Some(false));
    assert_eq!((&in_json(&answer)["met"], &in_json(&answer)["failed"]), (&json!(1), &json!(1)));
}

#[test]
fn what_portmaster_exported_becomes_a_policy_and_the_rest_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("export.yaml");
    let export = "type: settings\nconfig:\n  filter:\n    blockLAN: true\n    lists: [TRAC]\n    \
                  endpoints: [\"- .tracker.example\", \"+ lan,lan\"]\n";
    std::fs::write(&path, export).expect("written");
    let file = path.to_str().expect("plain");
    let imported = seawall(&["import", "portmaster", file]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert!(imported.stdout.contains("block_lan = true"), "{imported:?}");
    for left in ["left out: filter/lists", "left out: filter/endpoints: + lan,lan"] {
        assert!(imported.stderr.contains(left), "{imported:?}");
    }
    let policy = folder.path().join("seawall.toml");
    std::fs::write(&policy, &imported.stdout).expect("written");
    let checked = seawall(&["check", "--config", policy.to_str().expect("plain")]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let answer = seawall(&["import", "portmaster", "--json", file]);
    assert_eq!(in_json(&answer)["left_out"].as_array().map(Vec::len), Some(2), "{answer:?}");
    std::fs::write(&path, "type: dinner").expect("written");
    let refused = seawall(&["import", "portmaster", file]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("export.yaml: found type"), "{refused:?}");
}
