//! What README.md says is tried: its policies are good, its tables name what the program
//! knows, its examples look like what is printed. Which test shows which of its claims is in
//! `docs/claims.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use lab::process::Finished;
use lab::{Seawall, World, run};
use seawall_messages::setting::Place;
use tempfile::TempDir;

const POLICY: &str = "[[app]]\nname = \"curl\"\nmatch = { path = \"/usr/bin/curl\" }\n\
    block_internet = true\n";

fn readme() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    std::fs::read_to_string(path).expect("there is a README.md")
}

fn seawall(arguments: &[&str]) -> Finished {
    run(Command::new(lab::seawall::binary()).args(arguments))
}

/// What `seawall check` says of a policy.
fn check(policy: &str) -> Finished {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("seawall.toml");
    std::fs::write(&file, policy).expect("it can be written");
    seawall(&["check", "--config", &file.to_string_lossy()])
}

/// Blocks of code in this language.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let opening = format!("```{language}\n");
    let rest = readme.split(&opening).skip(1);
    rest.filter_map(|rest| rest.split("\n```").next()).map(str::to_owned).collect()
}

/// The block in which that command is shown, without the command.
fn shown(command: &str) -> Vec<String> {
    let prompt = format!("$ sudo {command}");
    let block = blocks("console").into_iter().find(|block| block.starts_with(&prompt));
    let block = block.unwrap_or_else(|| panic!("no example of {command}"));
    block.lines().skip(1).map(str::to_owned).collect()
}

/// Cells of the table that begins with this line.
fn table(header: &str) -> Vec<Vec<String>> {
    let readme = readme();
    let mut lines = readme.lines().skip_while(|line| *line != header).skip(2).peekable();
    assert!(lines.peek().is_some(), "no table {header}");
    let row = |line: &str| {
        let line = line.trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{1}");
        line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
    };
    lines.take_while(|line| line.starts_with('|')).map(row).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What may stand where a policy has something unknown.
fn expected(policy: &str) -> BTreeSet<String> {
    let refused = check(policy);
    assert_eq!(refused.code, Some(1), "{policy}: {refused:?}");
    let list = refused.stderr.lines().find_map(|line| line.split("expected one of ").nth(1));
    let list = list.unwrap_or_else(|| panic!("no list: {}", refused.stderr));
    list.split(", ").map(str::to_owned).collect()
}

fn words<'t>(text: impl IntoIterator<Item = &'t str>) -> BTreeSet<String> {
    text.into_iter().map(str::to_owned).collect()
}

#[test]
fn policies_are_good() {
    let policies = blocks("toml");
    assert!(policies.len() >= 2, "{policies:?}");
    for policy in policies {
        let checked = check(&policy);
        assert_eq!(checked.code, Some(0), "{policy}\n{checked:?}");
    }
}

#[test]
fn the_table_of_keys_is_what_the_program_knows_and_takes() {
    let mut keys = BTreeSet::new();
    let mut section = String::new();
    for row in table("| section | key | default | meaning |") {
        if let Some(named) = quoted(&row[0]).first() {
            section.clone_from(named);
        }
        let Some(key) = quoted(&row[1]).first().cloned().filter(|_| row[1].starts_with('`')) else {
            continue;
        };
        // What stands in a list of sections needs a section around it.
        if !section.starts_with("[[") {
            let default = quoted(&row[2]).first().cloned().unwrap_or_default();
            let checked = check(&format!("{section}\n{key} = {default}\n"));
            assert_eq!(checked.code, Some(0), "{section} {key} = {default}: {checked:?}");
        }
        keys.insert((section.clone(), key));
    }
    let registry = seawall_messages::setting::ALL.iter();
    let registry = registry.filter(|setting| setting.place != Place::AppAlone);
    let registry = registry.map(|setting| setting.name.to_owned());
    let told = keys.iter().filter(|(section, _)| !section.starts_with("[["));
    let told = told.map(|(section, key)| format!("{}.{key}", section.trim_matches(['[', ']'])));
    assert_eq!(told.collect::<BTreeSet<_>>(), registry.collect(), "what `setting list` shows");
    for section in ["[filter]", "[service]", "[metrics]"] {
        let told = keys.iter().filter(|(of, _)| of == section).map(|(_, key)| key.as_str());
        assert_eq!(words(told), expected(&format!("{section}\nx = 1\n")), "{section}");
    }
    let of_app = expected("[[app]]\nmatch = { path = \"/x\" }\nx = 1\n");
    let mut told = expected("[filter]\nx = 1\n");
    told.remove("permanent_verdicts");
    told.remove("ask_timeout");
    told.remove("built_in_profiles");
    told.remove("built_in_profiles_off");
    let own = keys.iter().filter(|(of, _)| of == "[[app]]").map(|(_, key)| key.as_str());
    told.extend(words(own));
    assert_eq!(told, of_app, "what is said of [[app]]");
    for of_apps in ["incoming_rules", "outgoing_rules", "use_parent"] {
        told.remove(of_apps);
    }
    let network = "[[network]]\nname = \"x\"\n";
    let of_network = expected(&format!("{network}match = {{ ssid = \"x\" }}\nx = 1\n"));
    assert_eq!(told, of_network, "what is said of [[network]]");
    let matches = |header: &str| {
        let rows = table(header);
        rows.iter().flat_map(|row| quoted(&row[0])).collect::<BTreeSet<_>>()
    };
    let of_app = matches("| in `match` | what has to fit | such as |");
    assert_eq!(of_app, expected("[[app]]\nmatch = { x = \"/x\" }\n"));
    let of_network = matches("| in `match` of a network | what has to be so | such as |");
    assert_eq!(of_network, expected(&format!("{network}match = {{ x = \"/x\" }}\n")));
}

#[test]
fn words_of_rules_are_understood() {
    let readme = readme();
    let bullet = |name: &str| {
        let (_, rest) = readme.split_once(&format!("- *{name}*:")).expect("it is explained");
        let end = ["\n- ", "\n\n"].into_iter().filter_map(|end| rest.find(end)).min();
        let end = end.unwrap_or(rest.len());
        quoted(&rest[..end])
    };
    let whom = bullet("Whom").into_iter().map(|word| format!("+ {word} TCP/80"));
    let protocols = bullet("Protocol").into_iter().map(|word| match word.as_str() {
        "*" => "- * */80".to_owned(),
        word => format!("- * {word}"),
    });
    let ports = bullet("Port").into_iter().map(|word| format!("+ LAN TCP/{word}"));
    let others = bullet("Names, places, lists").into_iter().map(|word| format!("- {word}"));
    let times = bullet("When").into_iter().map(|word| format!("- * {word}"));
    let conditions = ["Network", "User", "Interface"].into_iter().flat_map(bullet);
    let conditions = conditions.filter(|word| word.contains('=')).map(|word| format!("- * {word}"));
    let rules: Vec<_> = whom.chain(protocols).chain(ports).chain(others).chain(times).collect();
    let rules: Vec<_> = rules.into_iter().chain(conditions).collect();
    assert!(rules.len() >= 40, "{rules:?}");
    // A file isn't of one run of the machine, or of an app: by command alone.
    let (by_command, rules): (Vec<_>, Vec<_>) =
        rules.into_iter().partition(|rule| rule.ends_with("=restart") || rule.ends_with("=exit"));
    assert_eq!(by_command.len(), 2, "{by_command:?}");
    for rule in by_command {
        let said = seawall(&["rule", "check", &rule]);
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let policy = format!(
        "[filter]\noutgoing_rules = {rules:?}\nincoming_rules = {rules:?}\n\
         [[network]]\nname = \"home\"\nmatch = {{ interface = \"eth0\" }}\n"
    );
    let checked = check(&policy);
    assert_eq!(checked.code, Some(0), "{policy}{checked:?}");
}

/// Names of the verbs below a command, from its help.
fn verbs_of(help: &str) -> BTreeSet<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_table_of_verbs_is_what_the_command_has() {
    let mut known = verbs_of(&seawall(&["--help"]).stdout);
    // In builds for tests alone, as another test shows.
    known.remove("fault");
    let mut told = BTreeSet::new();
    let (mut told_below, mut known_below) = (BTreeMap::<String, String>::new(), BTreeMap::new());
    for row in table("| verb | what it does |") {
        let line = quoted(&row[0]).join(" ");
        let verb = line.split_whitespace().nth(1).expect("seawall VERB").to_owned();
        let help = seawall(&[&verb, "--help"]);
        assert!(help.ok(), "{verb}: {help:?}");
        let below = verbs_of(&help.stdout);
        let helps = below.iter().map(|below| seawall(&[&verb, below, "--help"]).stdout);
        let all = helps.fold(help.stdout.clone(), |all, one| all + &one);
        let parts = line.split(|c: char| !c.is_alphanumeric() && c != '-');
        for word in parts.skip_while(|word| *word != verb).skip(1).filter(|word| !word.is_empty()) {
            let is_told = match word.starts_with("--") {
                true => all.split_whitespace().any(|own| own.trim_end_matches(',') == word),
                false => true,
            };
            assert!(is_told, "seawall {verb} knows no {word}");
        }
        told_below.entry(verb.clone()).or_default().push_str(&line);
        known_below.insert(verb.clone(), below);
        told.insert(verb);
    }
    for (verb, below) in known_below {
        let missing = below.iter().find(|below| !told_below[&verb].contains(below.as_str()));
        assert_eq!(missing, None, "below seawall {verb}");
    }
    assert_eq!(told, known);
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let told = table("| exit code | meaning |").into_iter().map(|row| row[0].clone());
    let help = seawall(&["--help"]).stdout;
    let codes = help.lines().skip_while(|line| *line != "Exit codes:").skip(1);
    let codes = codes.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    assert_eq!(told.collect::<Vec<_>>(), codes.collect::<Vec<_>>());
}

/// The first words of what is indented.
fn labels(lines: &[String]) -> Vec<String> {
    let indented = lines.iter().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    indented.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn examples_look_like_what_is_printed() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let status = lines(&seawall.verb(&["status"]).stdout);
    let told = shown("target/release/seawall status");
    assert_eq!((&told[0], labels(&told)), (&status[0], labels(&status)));

    let header = |lines: &[String]| lines[0].split("  ").map(str::trim).collect::<String>();
    let ps = lines(&seawall.verb(&["ps", "--all"]).stdout);
    assert_eq!(header(&shown("seawall ps")), header(&ps));

    let explained = seawall.verb(&["explain", "/usr/bin/curl", "9.9.9.9:443"]);
    let explained = lines(&explained.stdout);
    let told = shown("seawall explain curl 9.9.9.9:443");
    assert_eq!((&told[0], labels(&told)), (&explained[0], labels(&explained)));
    let steps = |lines: &[String]| {
        let lines = lines.iter().skip_while(|line| !line.starts_with("STEP"));
        let lines = lines.take_while(|line| !line.is_empty() && *line != "...");
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let (told, printed) = (steps(&told), steps(&explained));
    assert!(told.len() >= 6, "{told:?}");
    assert_eq!(told, printed[..told.len()]);
}
