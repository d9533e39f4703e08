//! Which rules would block or allow what is selected. Pure.

use std::sync::Arc;

use seawall_messages::datapath::Connection;
use seawall_messages::policy::{AppMatch, NewRule, RuleList, RulePlace};
use seawall_messages::process::App;
use seawall_messages::rule::Permission;
use seawall_messages::{Direction, Flow};

/// One of the rules to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What it is about, in a few words.
    pub(crate) words: String,
    /// The rule.
    pub(crate) rule: NewRule,
}

/// What is permitted to an app as a whole. Nothing to choose where no rule can mean it alone.
pub(crate) fn of_app(app: &App, path: &str, permission: Permission) -> Vec<Choice> {
    let Some(whom) = AppMatch::of_app(app, path) else { return Vec::new() };
    [
        (RuleList::Outgoing, "whatever it opens"),
        (RuleList::Incoming, "whatever others open towards it"),
    ]
    .into_iter()
    .map(|(list, words)| choice(&whom, list, permission, words.to_owned(), "*"))
    .collect()
}

/// What is permitted to the app of a connection: all of it, its other end, its service there.
pub(crate) fn of_connection(connection: &Connection, permission: Permission) -> Vec<Choice> {
    let attribution = connection.used_by.as_ref().map(|used_by| &used_by.attribution);
    let app = attribution.map_or_else(App::unidentified, |attribution| attribution.app());
    let process = attribution.and_then(|attribution| attribution.process.as_ref());
    let path = process.map_or_else(|| Arc::from(""), |process| Arc::clone(&process.path));
    let Some(whom) = AppMatch::of_app(&app, &path) else { return Vec::new() };
    let flow = &connection.flow;
    let (list, whole) = match flow.direction {
        Direction::Inbound => (RuleList::Incoming, "whatever others open towards it"),
        Direction::Outbound | Direction::Forwarded => (RuleList::Outgoing, "whatever it opens"),
    };
    let remote = flow.remote().to_canonical();
    let mut choices = vec![
        choice(&whom, list, permission, whole.to_owned(), "*"),
        choice(&whom, list, permission, format!("{remote}"), &remote.to_string()),
    ];
    if let Some((words, service)) = service(flow) {
        let entity = format!("{remote} {service}");
        choices.push(choice(&whom, list, permission, format!("{remote}, {words}"), &entity));
    }
    choices
}

/// The service in words and as a rule says it.
fn service(flow: &Flow) -> Option<(String, String)> {
    let protocol = flow.protocol;
    match flow.destination_port() {
        Some(port) => Some((format!("{protocol} port {port}"), format!("{protocol}/{port}"))),
        None if protocol.has_ports() => None,
        None => Some((protocol.to_string(), protocol.to_string())),
    }
}

fn choice(
    app: &AppMatch,
    list: RuleList,
    permission: Permission,
    words: String,
    entity: &str,
) -> Choice {
    let sign = match permission {
        Permission::Permit => '+',
        Permission::Deny => '-',
        Permission::Ask => '?',
    };
    let rule = NewRule {
        app: Some(app.clone()),
        list,
        place: RulePlace::First,
        rule: format!("{sign} {entity}"),
    };
    Choice { words, rule }
}

/// What is written, as lines of a policy.
pub(crate) fn lines(rule: &NewRule) -> Vec<String> {
    let head = match &rule.app {
        None => vec!["[filter]".to_owned()],
        Some(app) => vec![
            "[[app]]".to_owned(),
            format!("match = {{ {} = {} }}", app.key(), quoted(app.text())),
        ],
    };
    let list = format!("{} = [{}, …]", rule.list.key(), quoted(&rule.rule));
    head.into_iter().chain([list]).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use seawall_messages::process::AppKind;

    use super::*;
    use crate::monitor::sample;

    fn said(choices: &[Choice]) -> Vec<String> {
        let line = |choice: &Choice| {
            let NewRule { app, list, rule, .. } = &choice.rule;
            let app = app.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{}: {app} {} {rule}", choice.words, list.key())
        };
        choices.iter().map(line).collect()
    }

    #[test]
    fn a_connection_offers_its_app_its_address_and_its_service() {
        let mut connection = sample::connection("curl", 40_000, "10.0.0.5:443");
        assert_eq!(
            said(&of_connection(&connection, Permission::Deny)),
            [
                "whatever it opens: path=/usr/bin/curl outgoing_rules - *",
                "10.0.0.5: path=/usr/bin/curl outgoing_rules - 10.0.0.5",
                "10.0.0.5, TCP port 443: path=/usr/bin/curl outgoing_rules - 10.0.0.5 TCP/443",
            ]
        );
        connection.flow.direction = Direction::Inbound;
        assert_eq!(
            said(&of_connection(&connection, Permission::Permit)),
            [
                "whatever others open towards it: path=/usr/bin/curl incoming_rules + *",
                "10.77.0.1: path=/usr/bin/curl incoming_rules + 10.77.0.1",
                "10.77.0.1, TCP port 443: path=/usr/bin/curl incoming_rules + 10.77.0.1 TCP/443",
            ]
        );
        connection.used_by = None;
        connection.flow.transport = seawall_messages::Transport::Truncated;
        assert_eq!(
            said(&of_connection(&connection, Permission::Deny)),
            [
                "whatever others open towards it: tag=unidentified incoming_rules - *",
                "10.77.0.1: tag=unidentified incoming_rules - 10.77.0.1",
            ]
        );
    }

    #[test]
    fn apps_are_known_by_their_file_or_else_by_their_id() {
        let app = |kind, id: &str| App { kind, id: Arc::from(id), ..App::unidentified() };
        let cases = [
            (app(AppKind::Path, "path:/usr/bin/curl"), "/usr/bin/curl", "path=/usr/bin/curl"),
            (app(AppKind::Path, "path:/opt/app-*/x"), "/opt/app-7/x", "path=/opt/app-7/x"),
            (app(AppKind::Snap, "snap:firefox"), "snap:firefox:/x", "tag=snap:firefox"),
            (
                app(AppKind::Script, "script:/usr/bin/meld"),
                "/usr/bin/python3",
                "tag=script:/usr/bin/meld",
            ),
            (app(AppKind::Kernel, "kernel"), "", "tag=kernel"),
        ];
        for (app, path, expected) in cases {
            let choices = of_app(&app, path, Permission::Deny);
            assert_eq!(choices.len(), 2);
            let whom = choices[0].rule.app.as_ref().map(ToString::to_string);
            assert_eq!(whom.as_deref(), Some(expected));
        }
        let starry = of_app(&app(AppKind::Path, "path:/tmp/*"), "/tmp/*", Permission::Permit);
        assert!(starry.is_empty(), "{starry:?}");
    }

    #[test]
    fn the_very_lines_of_the_file_are_shown() {
        let mut rule = of_app(&App::unidentified(), "", Permission::Deny)[0].rule.clone();
        rule.app = Some(AppMatch::Path("/a\"b".to_owned()));
        assert_eq!(
            lines(&rule),
            ["[[app]]", "match = { path = \"/a\\\"b\" }", "outgoing_rules = [\"- *\", …]"]
        );
        assert_eq!(lines(&NewRule { app: None, ..rule })[0], "[filter]");
    }
}
