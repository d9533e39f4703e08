//! Where on the command line the cursor is, by the command line's own definition. Pure.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};

use crate::client::USUAL_RUN_DIR;

/// What Seawall is asked for a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An app: the name of its profile, its path or its id.
    App,
    /// An app by its path or id.
    Program,
    /// The id of a prompt.
    Prompt,
    /// The id of a prompt, or of the answer to one.
    PromptOrAnswer,
    /// The id of an adopted entry.
    Adopted,
    /// A rule of the store.
    StoredRule,
    /// The name of a network.
    Network,
}

/// A word that Seawall may know how to complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// What it is.
    pub(super) kind: Kind,
    /// What was typed of it.
    pub(super) text: String,
    /// What stands before that in the same word: `--app=`.
    pub(super) before: String,
    /// Where Seawall is asked.
    pub(super) run_dir: PathBuf,
    /// The app that the line names.
    pub(super) app: Option<String>,
    /// Whether the line is about what others open.
    pub(super) incoming: bool,
}

/// What Seawall may know of an argument of a verb.
pub(crate) fn kind(verbs: &[&str], argument: &Arg) -> Option<Kind> {
    Some(match (verbs, argument.get_id().as_str()) {
        (_, "app") => Kind::App,
        (["explain"], "whom") | (["profile", "make"], "apps") => Kind::Program,
        (["prompts", "answer"], "id") => Kind::Prompt,
        (["prompts", "dismiss"], "id") => Kind::PromptOrAnswer,
        (["adopted", "remove"], "id") => Kind::Adopted,
        (["rule", "remove" | "disable" | "enable"], "rule") => Kind::StoredRule,
        (["rule", "check"], "network") => Kind::Network,
        _ => return None,
    })
}

/// What was read of a line so far.
struct Line<'c> {
    command: &'c Command,
    verbs: Vec<&'c str>,
    /// Arguments of the verb that are no options.
    positional: usize,
    /// The option whose value comes next.
    pending: Option<&'c Arg>,
    /// Whether `--` was said.
    options_are_over: bool,
    run_dir: PathBuf,
    app: Option<String>,
    incoming: bool,
}

/// What the last word is, if Seawall may know it. The first is the program; the command is built.
pub(super) fn place(command: &Command, words: &[String]) -> Option<Place> {
    let (last, before) = words.split_last()?;
    let mut line = Line {
        command,
        verbs: Vec::new(),
        positional: 0,
        pending: None,
        options_are_over: false,
        run_dir: PathBuf::from(USUAL_RUN_DIR),
        app: None,
        incoming: false,
    };
    before.iter().skip(1).for_each(|word| line.read(word));
    let (argument, attached) = line.argument_of(last)?;
    let kind = kind(&line.verbs, argument)?;
    let (start, text) = last.split_at_checked(attached)?;
    let (before, text) = (start.to_owned(), text.to_owned());
    let Line { run_dir, app, incoming, .. } = line;
    Some(Place { kind, text, before, run_dir, app, incoming })
}

impl<'c> Line<'c> {
    fn read(&mut self, word: &str) {
        if let Some(option) = self.pending.take() {
            return self.option(option, word);
        }
        if word == "--" && !self.options_are_over {
            self.options_are_over = true;
        } else if let Some((option, value)) = self.option_of(word) {
            match value {
                Some(value) => self.option(option, value),
                None if option.get_action().takes_values() => self.pending = Some(option),
                None => self.option(option, ""),
            }
        } else if let Some(verb) = self.verb_of(word) {
            self.verbs.push(verb.get_name());
            self.command = verb;
        } else if !self.is_option(word) {
            self.positional += 1;
        }
    }

    /// The argument that a word is, or begins to be, and where in the word its value begins.
    fn argument_of(&self, word: &str) -> Option<(&'c Arg, usize)> {
        if let Some(option) = self.pending {
            return Some((option, 0));
        }
        if let Some((option, Some(value))) = self.option_of(word) {
            return Some((option, word.len() - value.len()));
        }
        let argument = self.next_positional()?;
        (!self.is_option(word)).then_some((argument, 0))
    }

    fn option(&mut self, option: &Arg, value: &str) {
        match option.get_id().as_str() {
            "run_dir" => self.run_dir = PathBuf::from(value),
            "app" => self.app = Some(value.to_owned()),
            "incoming" => self.incoming = true,
            _ => {}
        }
    }

    /// The option that a word names, and the value that it has with it.
    fn option_of<'w>(&self, word: &'w str) -> Option<(&'c Arg, Option<&'w str>)> {
        if self.options_are_over {
            return None;
        }
        let named = |matches: &dyn Fn(&Arg) -> bool| {
            self.command.get_arguments().find(|argument| matches(argument))
        };
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            return Some((named(&|it| it.get_long() == Some(name))?, value));
        }
        let mut letters = word.strip_prefix('-')?.chars();
        let letter = letters.next().filter(|_| letters.next().is_none())?;
        Some((named(&|it| it.get_short() == Some(letter))?, None))
    }

    fn verb_of(&self, word: &str) -> Option<&'c Command> {
        if self.positional > 0 || self.options_are_over {
            return None;
        }
        self.command.find_subcommand(word)
    }

    /// Whether a word that names no option means to be one. A rule begins with a dash, too.
    fn is_option(&self, word: &str) -> bool {
        let is_rule = self.next_positional().is_some_and(Arg::is_allow_hyphen_values_set);
        !self.options_are_over && word.len() > 1 && word.starts_with('-') && !is_rule
    }

    fn next_positional(&self) -> Option<&'c Arg> {
        let at =
            |index| self.command.get_positionals().find(move |it| it.get_index() == Some(index));
        let last = || at(self.command.get_positionals().count());
        at(self.positional + 1)
            .or_else(|| last().filter(|it| matches!(it.get_action(), ArgAction::Append)))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn command() -> Command {
        let mut command = Cli::command();
        command.build();
        command
    }

    /// The place of the last word of a line, whose words are parted by `|`.
    fn found(line: &str) -> Option<Place> {
        let words: Vec<String> = line.split('|').map(str::to_owned).collect();
        place(&command(), &words)
    }

    #[test]
    fn the_cursor_is_found_in_the_line() {
        use Kind::{Adopted, App, Network, Program, Prompt, PromptOrAnswer, StoredRule};
        let cases = [
            ("seawall|export|--app|", Some((App, "", ""))),
            ("seawall|export|--app|Fire", Some((App, "", "Fire"))),
            ("seawall|export|--app=Fire", Some((App, "--app=", "Fire"))),
            ("seawall|setting|get|block_lan|--app|x", Some((App, "", "x"))),
            ("seawall|settings|list|--app|x", Some((App, "", "x"))),
            ("seawall|profile|show|cu", Some((App, "", "cu"))),
            ("seawall|profile|show|curl|", None),
            ("seawall|profile|rename|curl|", None),
            ("seawall|profile|make|/usr", Some((Program, "", "/usr"))),
            ("seawall|profile|make|/bin/a|/bin/b|", Some((Program, "", ""))),
            ("seawall|profile|make|--name|x|", Some((Program, "", ""))),
            ("seawall|profile|make|--name|", None),
            ("seawall|explain|", Some((Program, "", ""))),
            ("seawall|explain|--protocol|udp|snap:", Some((Program, "", "snap:"))),
            ("seawall|explain|curl|", None),
            ("seawall|explain|--", None),
            ("seawall|prompts|answer|", Some((Prompt, "", ""))),
            ("seawall|prompts|answer|3|", None),
            ("seawall|prompts|dismiss|", Some((PromptOrAnswer, "", ""))),
            ("seawall|adopted|remove|1", Some((Adopted, "", "1"))),
            ("seawall|--color|never|adopted|--json|remove|1", Some((Adopted, "", "1"))),
            ("seawall|rule|remove|", Some((StoredRule, "", ""))),
            ("seawall|rule|remove|- 10", Some((StoredRule, "", "- 10"))),
            ("seawall|rule|enable|--incoming|--|-", Some((StoredRule, "", "-"))),
            ("seawall|rule|add|- 10", None),
            ("seawall|rule|check|+ *|--network|ho", Some((Network, "", "ho"))),
            ("seawall|", None),
            ("seawall|sta", None),
            ("seawall|nonsense|--app|", None),
            ("seawall", None),
            ("", None),
        ];
        for (line, expected) in cases {
            let place = found(line);
            let place = place.as_ref().map(|it| (it.kind, it.before.as_str(), it.text.as_str()));
            assert_eq!(place, expected, "{line}");
        }
    }

    #[test]
    fn what_stands_before_says_whom_to_ask_and_about_whom() {
        let place = found("seawall|rule|--run-dir|/r|disable|--app|curl|--incoming|").expect("one");
        assert_eq!((place.run_dir, place.app), (PathBuf::from("/r"), Some("curl".to_owned())));
        assert!(place.incoming);
        let place = found("seawall|rule|disable|--run-dir=/r|").expect("one");
        assert_eq!((place.run_dir, place.app), (PathBuf::from("/r"), None));
        assert!(!place.incoming);
        let usual = found("seawall|prompts|answer|").expect("one").run_dir;
        assert_eq!(usual, PathBuf::from(USUAL_RUN_DIR));
    }

    #[test]
    fn every_word_for_an_app_is_one_that_is_known() {
        fn visit(command: &Command, verbs: &[&str], found: &mut usize) {
            for argument in command.get_arguments() {
                let names = argument.get_value_names().unwrap_or_default();
                let is_app = names.iter().any(|name| name.contains("PATH|TAG"));
                if is_app {
                    let line = verbs.join(" ");
                    assert!(kind(verbs, argument).is_some(), "{line}: {}", argument.get_id());
                }
                *found += usize::from(kind(verbs, argument).is_some());
            }
            for verb in command.get_subcommands() {
                visit(verb, &[verbs, &[verb.get_name()]].concat(), found);
            }
        }
        let mut found = 0;
        visit(&command(), &[], &mut found);
        assert!(found >= 19, "only {found}");
    }

    #[test]
    fn any_line_is_taken() {
        use proptest::prelude::*;
        let word = prop_oneof![
            "\\PC{0,8}",
            proptest::sample::select(vec![
                "--app", "rule", "remove", "--", "-", "--app=", "profile"
            ])
            .prop_map(str::to_owned),
        ];
        let command = command();
        proptest!(|(words in proptest::collection::vec(word, 0..8))| {
            let _ = place(&command, &words);
        });
    }
}
