//! Any line that somebody may write as a rule.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_messages::rule::{Rule, Subject};
use seawall_policy::rule::{now, parse};

fuzz_target!(|line: &str| match parse(line) {
    Ok(rule) => {
        let again = parse(&rule.text).expect("what is printed is a rule");
        // But for the run of the machine, or of the app, in which it was said.
        let whenever = Rule { when: rule.when.whenever_said(), ..rule.clone() };
        assert_eq!(again, whenever, "and the same one");
        // Whatever it says, it says it of nothing at all without giving up.
        rule.at(&now().into()).judge(&Subject::default());
    }
    Err(error) => assert_eq!(error.to_string().lines().count(), 3, "the line, and what is wrong"),
});
