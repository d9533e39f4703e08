//! Exports, and what comes of them.

use super::*;

fn left_out(converted: &Converted) -> Vec<&str> {
    converted.left_out.iter().map(|left| left.what.as_str()).collect()
}

#[test]
fn settings_become_those_of_filter() {
    let export = r#"
type: settings
config:
  core:
    expertiseLevel: developer
  filter:
    defaultAction: block
    blockLAN: true
    blockP2P: true
    endpoints:
      - "- 10.0.0.5 TCP/80"
      - "+ .example.com # ours"
      - "+ * TCP/90-80"
    lists: [TRAC, MAL]
    serviceEndpoints: ["+ LAN tcp/22"]
  spn:
    enable: false
"#;
    let converted = convert(export).expect("an export");
    assert_eq!(
        converted.policy,
        "# From Portmaster's settings.\n[filter]\nblock_lan = true\ndefault_action = \"block\"\n\
         outgoing_rules = [\n    \"- 10.0.0.5 TCP/80\",\n    \"+ .example.com # ours\",\n]\n\
         incoming_rules = [\n    \"+ LAN tcp/22\",\n]\n"
    );
    let expected = [
        "core/expertiseLevel",
        "filter/blockP2P",
        "filter/endpoints: + * TCP/90-80",
        "filter/lists",
        "spn/enable",
    ];
    assert_eq!(left_out(&converted), expected);
}

#[test]
fn json_and_flat_names_are_read_too() {
    let export = r#"{"type":"settings","config":{"filter/blockInbound":false,"filter/defaultAction":"ask","filter/askTimeout":90}}"#;
    let converted = convert(export).expect("an export");
    assert_eq!(
        converted.policy,
        "# From Portmaster's settings.\n[filter]\nask_timeout = 90\nblock_inbound = false\ndefault_action = \"ask\"\n"
    );
    assert!(left_out(&converted).is_empty());
    let short = r#"{"type":"settings","config":{"filter/askTimeout":9}}"#;
    assert_eq!(left_out(&convert(short).expect("an export")), ["filter/askTimeout"]);
    let one = r#"{"type":"single-setting","id":"filter/blockLocal","value":true}"#;
    let policy = convert(one).expect("an export").policy;
    assert_eq!(policy, "# From Portmaster's settings.\n[filter]\nblock_local = true\n");
}

#[test]
fn a_profile_becomes_a_section_for_each_of_its_fingerprints() {
    let export = r#"
type: profile
id: abc
name: Cu"rl
fingerprints:
  - {type: path, operation: equals, value: /usr/bin/curl}
  - {type: path, operation: prefix, value: /opt/curl/}
  - {type: tag, key: flatpak-id, operation: equals, value: se.curl}
  - {type: path, operation: regex, value: curl$}
  - {type: env, key: X, operation: equals, value: y}
config:
  filter:
    blockInternet: true
"#;
    let converted = convert(export).expect("an export");
    let section = |name: &str, whom: &str| {
        format!("[[app]]\nname = {name}\nmatch = {{ {whom} }}\nblock_internet = true\n\n")
    };
    let expected = [
        "# From a profile of Portmaster.\n".to_owned(),
        section("'Cu\"rl'", "path = \"/usr/bin/curl\""),
        section("'Cu\"rl (2)'", "path = \"/opt/curl/*\""),
        section("'Cu\"rl (3)'", "tag = \"flatpak:se.curl\""),
    ];
    assert_eq!(converted.policy, expected.concat());
    assert_eq!(converted.left_out.len(), 2, "{:?}", converted.left_out);
}

#[test]
fn fingerprints_have_a_place_or_a_reason() {
    let cases = [
        ("path", "", "equals", "/usr/bin/x", Ok("path = \"/usr/bin/x\"")),
        ("path", "", "equals", "C:\\x.exe", Err("another system")),
        ("path", "", "equals", "/a/*", Err("star")),
        ("path", "", "equals", "", Err("nothing")),
        ("path", "", "almost", "/a", Err("operation")),
        ("cmdline", "", "prefix", "java -jar x", Ok("command_line = \"java -jar x*\"")),
        ("tag", "snap-name", "equals", "firefox", Ok("tag = \"snap:firefox\"")),
        ("tag", "app-image-path", "equals", "/x.AppImage", Ok("tag = \"app_image:/x.AppImage\"")),
        ("tag", "python-script", "equals", "/usr/bin/y", Ok("tag = \"script:/usr/bin/y\"")),
        ("tag", "svchost", "equals", "x", Err("no such tag")),
        ("env", "X", "equals", "y", Err("environment")),
        ("mood", "", "equals", "y", Err("type")),
    ];
    for (kind, key, operation, value, expected) in cases {
        let fingerprint =
            serde_json::json!({ "type": kind, "key": key, "operation": operation, "value": value });
        match (match_of(&fingerprint), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, _) => panic!("{fingerprint}: {found:?}"),
        }
    }
}

#[test]
fn what_is_no_export_is_refused_with_a_reason() {
    let cases = [
        ("", "found type"),
        ("type: dinner", "found type \"dinner\""),
        ("[1, 2", "line"),
        ("{\"type\": \"single-setting\"}", "no `id`"),
        ("{\"type\": \"profile\", \"name\": \"x\"}", "no fingerprint"),
    ];
    for (text, why) in cases {
        let problem = convert(text).expect_err(text);
        assert!(problem.contains(why), "{text}: {problem}");
    }
    let unidentified = "{\"type\": \"profile\", \"id\": \"_unidentified\", \"config\": {}}";
    assert!(convert(unidentified).expect("a profile").policy.contains("tag = \"unidentified\""));
}
