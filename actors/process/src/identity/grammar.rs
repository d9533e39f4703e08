//! Where an interpreter's options end and its script begins.
//!
//! One table an interpreter, from its manual. What a table doesn't list ends
//! the search: no script is better than a wrong one.

/// The options of an interpreter.
pub(super) struct Grammar {
    /// Letters without a value; several may stand in one word.
    alone: &'static str,
    /// Letters with a value: the rest of the word, or else the next word.
    valued: &'static str,
    /// Letters that the rest of the word belongs to, if there is one.
    attached: &'static str,
    /// Letters with digits behind them, if any, and then more letters.
    numbered: &'static str,
    /// A letter with the script as its value.
    script: Option<char>,
    /// A letter with the name of a module as its value, which is run in the place of a script.
    module: Option<char>,
    /// Long options without a value, with their dashes.
    long_alone: &'static [&'static str],
    /// Long options with a value: after `=`, or else the next word.
    long_valued: &'static [&'static str],
    /// Long options with `=` that mean that there is no script. With any other nothing but itself is meant.
    long_ends: &'static [&'static str],
    /// Whether long options have one dash, as Java's.
    one_dash: bool,
    /// Whether it is a shell: `+` begins an option, too, and a letter's value is always the next word.
    is_shell: bool,
    /// A word that begins what is asked, before all options.
    command: Command,
    /// Whether a script may follow `--`.
    after_dashes: bool,
    /// How a script's name ends, where it has to be told from something else.
    ending: &'static [&'static str],
}

/// What an interpreter is asked to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// A file, as it was written.
    File(&'a str),
    /// A module by its name.
    Module(&'a str),
}

/// What may stand before all options.
enum Command {
    None,
    Possible(&'static str),
    Required(&'static str),
}

const NONE: Grammar = Grammar {
    alone: "",
    valued: "",
    attached: "",
    numbered: "",
    script: None,
    module: None,
    long_alone: &[],
    long_valued: &[],
    long_ends: &[],
    one_dash: false,
    is_shell: false,
    command: Command::None,
    after_dashes: true,
    ending: &[],
};

const PYTHON: Grammar = Grammar {
    alone: "bBdEiIOPqRsSuvx",
    valued: "WX",
    module: Some('m'),
    long_valued: &["--check-hash-based-pycs"],
    ..NONE
};

const BASH: Grammar = Grammar {
    alone: "abefhiklmnprtuvxBCEHPTD",
    valued: "oO",
    long_alone: &[
        "--debugger",
        "--login",
        "--noediting",
        "--noprofile",
        "--norc",
        "--posix",
        "--restricted",
        "--verbose",
    ],
    long_valued: &["--init-file", "--rcfile"],
    is_shell: true,
    ..NONE
};

const SHELL: Grammar = Grammar { alone: "abCefhilmnpuvxIEV", valued: "o", is_shell: true, ..NONE };

const ZSH: Grammar = Grammar { alone: "deflnvxi", valued: "o", is_shell: true, ..NONE };

const FISH: Grammar = Grammar {
    alone: "ilnPN",
    valued: "CdofD",
    long_alone: &["--interactive", "--login", "--no-config", "--private"],
    long_valued: &["--debug", "--debug-output", "--features", "--init-command", "--profile"],
    long_ends: &["--command"],
    ..NONE
};

const PERL: Grammar =
    Grammar { alone: "acnpstTuUwWXf", valued: "I", attached: "CDFimM", numbered: "0l", ..NONE };

const RUBY: Grammar = Grammar {
    alone: "adlnpsvwU",
    valued: "EIr",
    attached: "Fi",
    numbered: "0TW",
    long_alone: &["--jit", "--rjit", "--verbose", "--yjit"],
    long_valued: &[
        "--disable",
        "--enable",
        "--encoding",
        "--external-encoding",
        "--internal-encoding",
    ],
    ..NONE
};

const NODE: Grammar = Grammar {
    alone: "c",
    valued: "Cr",
    long_alone: &[
        "--check",
        "--enable-source-maps",
        "--expose-gc",
        "--experimental-modules",
        "--experimental-strip-types",
        "--experimental-vm-modules",
        "--experimental-wasm-modules",
        "--inspect",
        "--inspect-brk",
        "--inspect-wait",
        "--no-deprecation",
        "--no-experimental-fetch",
        "--no-warnings",
        "--pending-deprecation",
        "--preserve-symlinks",
        "--preserve-symlinks-main",
        "--throw-deprecation",
        "--trace-deprecation",
        "--trace-uncaught",
        "--trace-warnings",
        "--use-openssl-ca",
        "--use-system-ca",
        "--watch",
    ],
    long_valued: &[
        "--conditions",
        "--experimental-loader",
        "--icu-data-dir",
        "--import",
        "--input-type",
        "--loader",
        "--require",
        "--title",
        "--unhandled-rejections",
    ],
    long_ends: &["--eval", "--print", "--run", "--test"],
    ..NONE
};

const DENO: Grammar = Grammar {
    command: Command::Required("run"),
    alone: "AEINRSWqr",
    valued: "cL",
    long_alone: &[
        "--allow-all",
        "--allow-env",
        "--allow-ffi",
        "--allow-hrtime",
        "--allow-import",
        "--allow-net",
        "--allow-read",
        "--allow-run",
        "--allow-sys",
        "--allow-write",
        "--cached-only",
        "--check",
        "--inspect",
        "--inspect-brk",
        "--no-check",
        "--no-config",
        "--no-lock",
        "--no-npm",
        "--no-prompt",
        "--no-remote",
        "--quiet",
        "--reload",
        "--unstable",
        "--watch",
    ],
    long_valued: &["--cert", "--config", "--import-map", "--location", "--log-level", "--seed"],
    ..NONE
};

const BUN: Grammar = Grammar {
    command: Command::Possible("run"),
    alone: "bi",
    valued: "r",
    long_alone: &["--bun", "--hot", "--if-present", "--inspect", "--silent", "--smol", "--watch"],
    long_valued: &["--preload"],
    long_ends: &["--cwd", "--eval", "--filter", "--print"],
    ..NONE
};

const PHP: Grammar =
    Grammar { alone: "CHnq", valued: "cdz", script: Some('f'), after_dashes: false, ..NONE };

const LUA: Grammar = Grammar { alone: "EWiv", valued: "el", ..NONE };

const LUAJIT: Grammar = Grammar { alone: "Eiv", valued: "ejl", attached: "O", ..NONE };

const MONO: Grammar = Grammar {
    attached: "O",
    long_alone: &["--debug", "--desktop", "--llvm", "--server"],
    long_valued: &["--config"],
    long_ends: &["--aot", "--compile"],
    ending: &[".exe", ".dll"],
    ..NONE
};

const DOTNET: Grammar = Grammar {
    command: Command::Possible("exec"),
    long_valued: &[
        "--additional-deps",
        "--additionalprobingpath",
        "--depsfile",
        "--fx-version",
        "--roll-forward",
        "--runtimeconfig",
    ],
    ending: &[".dll", ".exe"],
    ..NONE
};

/// Java names a class where others name a script: only `-jar` is followed by a file.
const JAVA: Grammar = Grammar {
    one_dash: true,
    long_alone: &["-client", "-server", "-dsa", "-esa", "-ea", "-da", "-d64", "--enable-preview"],
    long_valued: &[
        "-classpath",
        "-cp",
        "-p",
        "--add-exports",
        "--add-modules",
        "--add-opens",
        "--add-reads",
        "--class-path",
        "--limit-modules",
        "--module-path",
        "--patch-module",
        "--upgrade-module-path",
    ],
    long_ends: &["--module"],
    ..NONE
};

/// Options of Java that go on in the same word.
const JAVA_PREFIXES: [&str; 11] = [
    "-D",
    "-X",
    "-agentlib:",
    "-agentpath:",
    "-da:",
    "-disableassertions",
    "-ea:",
    "-enableassertions",
    "-javaagent:",
    "-splash:",
    "-verbose",
];

/// What an interpreter with this name is asked to run. `arguments` begin after the program.
pub(super) fn asked<'a>(program: &str, arguments: &'a [String]) -> Option<Asked<'a>> {
    let asked = table(program)?.ask(arguments);
    let is_path = |file: &str| !file.is_empty() && !file.contains("://");
    asked.filter(|asked| !matches!(asked, Asked::File(file) if !is_path(file)))
}

/// Whether it is one of them.
pub(crate) fn is_interpreter(program: &str) -> bool {
    table(program).is_some()
}

fn table(program: &str) -> Option<&'static Grammar> {
    let grammar = match without_number(program) {
        "python" | "pypy" => &PYTHON,
        "bash" | "rbash" => &BASH,
        "sh" | "dash" | "ash" | "ksh" | "mksh" => &SHELL,
        "zsh" => &ZSH,
        "fish" => &FISH,
        "perl" => &PERL,
        "ruby" => &RUBY,
        "node" | "nodejs" => &NODE,
        "deno" => &DENO,
        "bun" => &BUN,
        "php" => &PHP,
        "lua" => &LUA,
        "luajit" => &LUAJIT,
        "mono" | "mono-sgen" => &MONO,
        "dotnet" => &DOTNET,
        "java" => &JAVA,
        _ => return None,
    };
    Some(grammar)
}

/// `python` of `python3.11`.
fn without_number(program: &str) -> &str {
    program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
}

enum Step<'a> {
    /// So many words belong to the option.
    Skip(usize),
    Found(Asked<'a>),
    Nothing,
}

impl Grammar {
    fn ask<'a>(&self, arguments: &'a [String]) -> Option<Asked<'a>> {
        let is_first = |command| arguments.first().is_some_and(|first| first == command);
        match self.command {
            Command::Required(command) if !is_first(command) => None,
            Command::Required(command) | Command::Possible(command) if is_first(command) => {
                self.search(arguments.get(1..)?)
            }
            _ => self.search(arguments),
        }
    }

    fn search<'a>(&self, arguments: &'a [String]) -> Option<Asked<'a>> {
        let mut rest = arguments;
        while let Some(word) = rest.first() {
            let next = rest.get(1).map(String::as_str);
            let step = if self.one_dash {
                self.java(word, next)
            } else if word == "--" {
                return if self.after_dashes { self.file(next?) } else { None };
            } else if word.starts_with("--") {
                self.long(word)
            } else if let Some(letters) = self.letters(word) {
                self.short(letters, next)
            } else {
                return self.file(word);
            };
            match step {
                Step::Skip(words) => rest = rest.get(words..)?,
                Step::Found(asked) => return Some(asked),
                Step::Nothing => return None,
            }
        }
        None
    }

    fn file<'a>(&self, word: &'a str) -> Option<Asked<'a>> {
        let fits = self.ending.is_empty() || self.ending.iter().any(|end| word.ends_with(end));
        fits.then_some(Asked::File(word))
    }

    /// The letters of a word of options; a lone dash has none, and they end the search.
    fn letters<'a>(&self, word: &'a str) -> Option<&'a str> {
        word.strip_prefix('-').or_else(|| word.strip_prefix('+').filter(|_| self.is_shell))
    }

    fn short<'a>(&self, letters: &'a str, next: Option<&'a str>) -> Step<'a> {
        if letters.is_empty() {
            // A lone dash is the standard input.
            return Step::Nothing;
        }
        let mut rest = letters;
        while let Some(letter) = rest.chars().next() {
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            if self.numbered.contains(letter) {
                rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
                // Ruby's -W:no-deprecated.
                if rest.starts_with(':') {
                    return Step::Skip(1);
                }
            } else if self.attached.contains(letter) {
                return Step::Skip(1);
            } else if !self.alone.contains(letter) {
                return self.value(letter, rest, next);
            }
        }
        Step::Skip(1)
    }

    /// Of a letter that has one: the rest of its word, or else the next.
    fn value<'a>(&self, letter: char, rest: &'a str, next: Option<&'a str>) -> Step<'a> {
        let (value, words) = if rest.is_empty() { (next, 2) } else { (Some(rest), 1) };
        if self.is_shell && !rest.is_empty() {
            return Step::Nothing;
        }
        match value {
            _ if self.valued.contains(letter) => Step::Skip(words),
            Some(value) if self.script == Some(letter) => Step::Found(Asked::File(value)),
            Some(value) if self.module == Some(letter) => Step::Found(Asked::Module(value)),
            _ => Step::Nothing,
        }
    }

    fn long<'a>(&self, word: &str) -> Step<'a> {
        let (name, has_value) = match word.split_once('=') {
            Some((name, _)) => (name, true),
            None => (word, false),
        };
        if self.long_ends.contains(&name) {
            Step::Nothing
        } else if has_value || self.long_alone.contains(&word) {
            Step::Skip(1)
        } else if self.long_valued.contains(&word) {
            Step::Skip(2)
        } else {
            Step::Nothing
        }
    }

    fn java<'a>(&self, word: &str, next: Option<&'a str>) -> Step<'a> {
        if word == "-jar" {
            return next.map_or(Step::Nothing, |file| Step::Found(Asked::File(file)));
        }
        let prefixed = JAVA_PREFIXES.iter().any(|prefix| word.starts_with(prefix));
        if prefixed {
            return Step::Skip(1);
        }
        if !word.starts_with("--") && word.contains('=') {
            return Step::Nothing;
        }
        self.long(word)
    }
}
