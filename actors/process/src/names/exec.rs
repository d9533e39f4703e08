//! The command of a desktop file's `Exec` key (Desktop Entry Specification, "The Exec key").

/// Words of a command that are looked at; no program needs as many to be told.
const MAX_WORDS: usize = 64;

/// Program and arguments of an `Exec` value, without field codes and without
/// `env` and its variables. `None`: quotes that don't end, or no program.
pub fn command_of(value: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> =
        split(&unescape(value))?.into_iter().filter_map(|word| without_codes(&word)).collect();
    words.truncate(MAX_WORDS);
    let start = program_at(&words)?;
    words.drain(..start);
    Some(words)
}

/// Escapes of the file format itself, which come before those of the command.
fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('s') => text.push(' '),
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('\\') => text.push('\\'),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

/// At blanks outside double quotes. In quotes a backslash stands before what means itself.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' => word.get_or_insert_default().push(characters.next()?),
            ' ' | '\t' | '\n' | '\r' if !is_quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    (!is_quoted).then_some(words)
}

/// `%f` and its like are gone, `%%` is a per cent sign. `None`: nothing is left.
fn without_codes(word: &str) -> Option<String> {
    if !word.contains('%') {
        return Some(word.to_owned());
    }
    let mut text = String::with_capacity(word.len());
    let mut characters = word.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
        } else if characters.next() == Some('%') {
            text.push('%');
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Where the program stands: behind `env`, its options and variables.
fn program_at(words: &[String]) -> Option<usize> {
    let is_env = |word: &String| word == "env" || word.ends_with("/env");
    if !is_env(words.first()?) {
        return Some(0);
    }
    let mut at = 1;
    loop {
        let word = words.get(at)?.as_str();
        match word {
            "-i" | "-" | "--ignore-environment" | "--" => at += 1,
            "-u" | "--unset" | "-C" | "--chdir" => at += 2,
            _ if word.starts_with("--unset=") || word.starts_with("--chdir=") => at += 1,
            _ if word.starts_with('-') => return None,
            _ if word.contains('=') => at += 1,
            _ => return Some(at),
        }
    }
}
