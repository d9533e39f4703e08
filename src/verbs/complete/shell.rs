//! How shells hand a command line over, and how they take candidates. Pure.
//!
//! Bash parts words at `:` and `=`, too, and leaves their quotes as they were typed; it wants
//! back only what belongs in the place of the last part, fit to be read as it stands. The
//! others take whole words, and quote them themselves.

use std::borrow::Cow;

use crate::cli::ShellName;

/// What bash parts words at that stand in ours.
const BREAKS: [char; 2] = [':', '='];

/// In the scripts, whatever the command line's own definition can't say is asked for first.
const BASH: &str = r#"
_seawall_known() {
    mapfile -t COMPREPLY < <(command seawall completions bash -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -gt 0 ]] || _seawall "$@"
}

complete -F _seawall_known -o nosort -o bashdefault -o default seawall
"#;

const ZSH: &str = r#"_seawall() {
    local -a known
    known=("${(@f)$(command seawall completions zsh -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    if [[ -n ${known[1]} ]]; then
        _describe -V 'known to Seawall' known
    else
        _seawall_defined "$@"
    fi
}

"#;

const FISH: &str = r#"
function __seawall_known
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    command seawall completions fish -- $words "$current" 2>/dev/null
end
function __seawall_is_known
    set -g __seawall_found (__seawall_known)
    test (count $__seawall_found) -gt 0
end
complete -c seawall -n __seawall_is_known -f -k -a '$__seawall_found'
"#;

/// A line as it was typed.
#[derive(Debug)]
pub(super) struct Typed {
    /// Its words, without quotes.
    pub(super) words: Vec<String>,
    shell: ShellName,
    /// What of the last word the shell doesn't want back.
    kept: String,
    /// The quote that the last word is in.
    quote: Option<char>,
}

/// Takes the words of a line as the shell has them.
pub(super) fn typed(shell: ShellName, words: &[String]) -> Typed {
    let last = words.last().map(String::as_str).unwrap_or_default();
    let quote = last.chars().next().filter(|first| matches!(first, '"' | '\''));
    match shell {
        ShellName::Bash => {
            let words = joined(words);
            let word = words.last().map(String::as_str).unwrap_or_default();
            let last = if is_break(last) { Cow::Borrowed("") } else { unquoted(last) };
            let kept = word.strip_suffix(&*last).unwrap_or_default().to_owned();
            Typed { words, shell, kept, quote }
        }
        ShellName::Zsh => Typed { words: words.to_vec(), shell, kept: String::new(), quote: None },
        ShellName::Fish => {
            let mut words = words.to_vec();
            if let Some(last) = words.last_mut() {
                *last = unquoted(last).into_owned();
            }
            Typed { words, shell, kept: String::new(), quote: None }
        }
    }
}

impl Typed {
    /// A candidate as the shell takes it; `None` where it can't be said there.
    pub(super) fn line(&self, value: &str, about: &str) -> Option<String> {
        let about = crate::output::one_line(about);
        Some(match self.shell {
            ShellName::Bash => {
                let value = value.strip_prefix(self.kept.as_str())?;
                match self.quote {
                    Some('\'') if value.contains('\'') => return None,
                    Some('\'') => value.to_owned(),
                    Some(_) => escaped(value, |c| matches!(c, '"' | '$' | '`' | '\\')),
                    None => escaped(value, |c| c.is_ascii() && !is_plain(c)),
                }
            }
            ShellName::Zsh => {
                let value = escaped(value, |c| matches!(c, ':' | '\\'));
                format!("{value}:{about}")
            }
            ShellName::Fish => format!("{value}\t{about}"),
        })
    }
}

/// The scripts that shells read, with what a running Seawall knows.
pub(crate) fn with_known(shell: ShellName, script: &str, options: &[String]) -> String {
    match shell {
        ShellName::Bash => format!("{script}{BASH}"),
        ShellName::Zsh => {
            let script = script.replacen("\n_seawall() {\n", "\n_seawall_defined() {\n", 1);
            const END: &str = "if [ \"$funcstack[1]\"";
            script.replacen(END, &format!("{ZSH}{END}"), 1)
        }
        ShellName::Fish => {
            let asks = |line: &str| options.iter().any(|it| line.contains(&format!(" -l {it} ")));
            let line = |line: &str| match line.strip_suffix(" -r").filter(|_| asks(line)) {
                Some(start) => format!("{start} -x -a '(__seawall_known)'\n"),
                None => format!("{line}\n"),
            };
            let lines: String = script.lines().map(line).collect();
            format!("{lines}{FISH}")
        }
    }
}

fn is_break(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| BREAKS.contains(&c))
}

/// Joins what bash parted: a part of nothing but breaks belongs to what is around it.
fn joined(parts: &[String]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for part in parts {
        let is_break = is_break(part);
        let text = unquoted(part);
        match words.last_mut() {
            Some(word) if is_open || is_break => word.push_str(&text),
            _ => words.push(text.into_owned()),
        }
        is_open = is_break;
    }
    words
}

/// A word as the program would get it. A quote may be open still.
fn unquoted(word: &str) -> Cow<'_, str> {
    if !word.contains(['"', '\'', '\\']) {
        return Cow::Borrowed(word);
    }
    let mut text = String::with_capacity(word.len());
    let mut quote = None;
    let mut characters = word.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (Some('\''), _) => text.push(c),
            (Some(_), '\\') if characters.peek().is_some_and(|c| !"\"\\$`".contains(*c)) => {
                text.push(c);
            }
            (_, '\\') => text.extend(characters.next()),
            _ => text.push(c),
        }
    }
    Cow::Owned(text)
}

fn escaped(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_special(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Characters that mean nothing to bash.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn bash_gets_back_the_last_part_of_a_word() {
        // The parts, the last word that they make, a candidate, and what bash gets.
        let cases: [(&[&str], &str, &str, Option<&str>); 13] = [
            (&["seawall", "cu"], "cu", "curl", Some("curl")),
            (&["seawall", ""], "", "Firefox (Snap)", Some("Firefox\\ \\(Snap\\)")),
            (&["seawall", "snap", ":"], "snap:", "snap:firefox", Some("firefox")),
            (&["seawall", "snap", ":", "fi"], "snap:fi", "snap:firefox", Some("firefox")),
            (&["seawall", "--app", "=", "cu"], "--app=cu", "--app=curl", Some("curl")),
            (&["seawall", "--app", "="], "--app=", "--app=curl", Some("curl")),
            (
                &["seawall", "--app", "=", "snap", ":", "f"],
                "--app=snap:f",
                "--app=snap:fx",
                Some("fx"),
            ),
            (&["seawall", "\"Fire"], "Fire", "Firefox (Snap)", Some("Firefox (Snap)")),
            (&["seawall", "\"a"], "a", "a$(b)\"", Some("a\\$(b)\\\"")),
            (&["seawall", "'- 1"], "- 1", "- 10.0.0.1 *", Some("- 10.0.0.1 *")),
            (&["seawall", "'a"], "a", "a'b", None),
            (&["seawall", "Brave\\ B"], "Brave B", "Brave Browser", Some("Brave\\ Browser")),
            (&["seawall", "ü"], "ü", "über;ls", Some("über\\;ls")),
        ];
        for (parts, word, value, expected) in cases {
            let typed = typed(ShellName::Bash, &words(parts));
            assert_eq!(typed.words.last().map(String::as_str), Some(word), "{parts:?}");
            assert_eq!(typed.line(value, "x").as_deref(), expected, "{parts:?}");
        }
        assert_eq!(joined(&words(&["a", "b", ":", "c", "d"])), ["a", "b:c", "d"]);
        assert!(typed(ShellName::Bash, &[]).words.is_empty());
    }

    #[test]
    fn the_others_get_words_with_what_is_said_of_them() {
        let line = |shell, value| typed(shell, &words(&["seawall", "\"x"])).line(value, "a\u{1b}b");
        assert_eq!(line(ShellName::Fish, "x y").as_deref(), Some("x y\ta\\u{1b}b"));
        assert_eq!(line(ShellName::Zsh, "snap:x").as_deref(), Some("snap\\:x:a\\u{1b}b"));
        assert_eq!(typed(ShellName::Fish, &words(&["seawall", "\"x y"])).words[1], "x y");
    }

    #[test]
    fn quotes_are_taken_away_as_the_shell_does() {
        let cases = [
            ("plain", "plain"),
            ("\"a b\"", "a b"),
            ("'a \\b", "a \\b"),
            ("a\\ b", "a b"),
            ("\"a\\\"b\\x", "a\"b\\x"),
            ("a'b c'd", "ab cd"),
            ("end\\", "end"),
        ];
        for (word, expected) in cases {
            assert_eq!(unquoted(word), expected, "{word}");
        }
    }
}
