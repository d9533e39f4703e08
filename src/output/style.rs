//! Colours, where a person looks: on a terminal that has them, unless `NO_COLOR`
//! (no-color.org) or `--color` says otherwise.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::sync::OnceLock;

/// What `--color` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`
    #[default]
    Auto,
    /// Also where nobody looks
    Always,
    /// Not at all
    Never,
}

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is.
    #[default]
    Plain,
    /// All is well; it passes.
    Good,
    /// It needs attention.
    Warning,
    /// Something is wrong; it is denied.
    Bad,
    /// A name or heading.
    Strong,
    /// Of little weight.
    Faint,
}

static CHOICE: OnceLock<ColorChoice> = OnceLock::new();

/// Says what `--color` said. The first call counts.
pub(crate) fn choose_colors(choice: ColorChoice) {
    // A second word is none: the command line has one.
    let _ = CHOICE.set(choice);
}

/// What `--color` said.
pub(crate) fn chosen_colors() -> ColorChoice {
    CHOICE.get().copied().unwrap_or_default()
}

/// Whether standard output is coloured.
pub(crate) fn on_stdout() -> bool {
    is_wanted(std::io::stdout().is_terminal())
}

/// Whether standard error is coloured.
pub(crate) fn on_stderr() -> bool {
    is_wanted(std::io::stderr().is_terminal())
}

fn is_wanted(is_terminal: bool) -> bool {
    let choice = chosen_colors();
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    wanted(choice, is_terminal, variable("NO_COLOR").is_some(), variable("TERM").as_deref())
}

fn wanted(
    choice: ColorChoice,
    is_terminal: bool,
    no_color_is_set: bool,
    term: Option<&OsStr>,
) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            is_terminal && !no_color_is_set && term.is_some_and(|term| term != "dumb")
        }
    }
}

impl ColorChoice {
    /// As `--color` takes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

impl Style {
    /// The text in this style (ECMA-48, select graphic rendition).
    pub(super) fn paint(self, text: &str, is_colored: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Strong => "1",
            Self::Faint => "2",
        };
        match is_colored && !text.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        use ColorChoice::{Always, Auto, Never};
        let xterm = Some(OsStr::new("xterm"));
        let cases = [
            (Auto, true, false, xterm, true),
            (Auto, false, false, xterm, false),
            (Auto, true, true, xterm, false),
            (Auto, true, false, Some(OsStr::new("dumb")), false),
            (Auto, true, false, None, false),
            (Always, false, true, None, true),
            (Never, true, false, xterm, false),
        ];
        for (choice, is_terminal, no_color, term, expected) in cases {
            let name = format!("{choice:?} {is_terminal} {no_color} {term:?}");
            assert_eq!(wanted(choice, is_terminal, no_color, term), expected, "{name}");
        }
    }

    #[test]
    fn text_is_painted_only_where_it_is_coloured() {
        assert_eq!(Style::Bad.paint("no", true), "\u{1b}[31mno\u{1b}[0m");
        assert_eq!(Style::Bad.paint("no", false), "no");
        assert_eq!(Style::Bad.paint("", true), "");
        assert_eq!(Style::Plain.paint("x", true), "x");
    }
}
