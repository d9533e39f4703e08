//! Text that others wrote, made fit to be shown: what would move the cursor,
//! colour, or turn the direction of text is written as an escape.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The sign that something was left out.
const ELLIPSIS: char = '…';

/// The text on one line.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unfit)
}

/// The text, which may have several lines.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_unfit(c) && c != '\n')
}

/// JSON, in which only strings hold such characters; the same to whoever parses it.
pub(crate) fn in_json(json: &str) -> Cow<'_, str> {
    let is_unfit = |c| is_unfit(c) && c != '\n';
    if !json.contains(is_unfit) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_unfit(c) {
            true => {
                text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")))
            }
            false => text.push(c),
        }
    }
    Cow::Owned(text)
}

fn escaped(text: &str, is_unfit: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_unfit) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_unfit(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Control characters, and those that turn the direction of text or hide in it
/// (Unicode Standard Annex 9, and general category Cf nearby).
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Columns of a terminal that the text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The beginning of the text that fits, with `…` where some was left out.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if width(text) <= most {
        return Cow::Borrowed(text);
    }
    let mut room = most.saturating_sub(1);
    let mut shown = String::new();
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if width > room {
            break;
        }
        room -= width;
        shown.push(c);
    }
    if most > 0 {
        shown.push(ELLIPSIS);
    }
    Cow::Owned(shown)
}

/// The text in pieces of at most so many columns, broken at blanks; a word
/// that is longer stays whole.
pub(super) fn broken(text: &str, most: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match pieces.last_mut() {
            Some(piece) if width(piece) + 1 + width(word) <= most => {
                piece.push(' ');
                piece.push_str(word);
            }
            _ => pieces.push(word.to_owned()),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_disturb_a_terminal_is_escaped() {
        let cases = [
            ("plain, ünïcode, 漢字", "plain, ünïcode, 漢字"),
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("two\nlines\tand a tab\r", "two\\nlines\\tand a tab\\r"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("exe\u{202e}gpj", "exe\\u{202e}gpj"),
            ("hid\u{200b}den\u{feff}", "hid\\u{200b}den\\u{feff}"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
        ];
        for (text, expected) in cases {
            assert_eq!(one_line(text), expected);
        }
        assert_eq!(lines("one\ntwo\u{7}"), "one\ntwo\\u{7}");
    }

    #[test]
    fn json_says_the_same_without_them() {
        let value = "a\u{9b}b\u{202e}c\u{7f}d\u{1b}\u{e0041}";
        let json = serde_json::to_string_pretty(&[value]).expect("JSON");
        let shown = in_json(&json);
        assert!(!shown.contains(|c: char| is_unfit(c) && c != '\n'), "{shown}");
        let back: Vec<String> = serde_json::from_str(&shown).expect("still JSON");
        assert_eq!(back, [value]);
    }

    #[test]
    fn text_is_broken_between_words() {
        let cases = [
            ("", 5, vec![""]),
            ("one two", 7, vec!["one two"]),
            ("one two", 6, vec!["one", "two"]),
            ("a longerword b", 6, vec!["a", "longerword", "b"]),
            ("漢字 漢字", 8, vec!["漢字", "漢字"]),
        ];
        for (text, most, expected) in cases {
            assert_eq!(broken(text, most), expected, "{text}");
        }
    }

    #[test]
    fn text_is_cut_by_the_columns_that_it_takes() {
        let cases = [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("漢字漢字", 8, "漢字漢字"),
            ("漢字漢字", 7, "漢字漢…"),
            ("漢字漢字", 6, "漢字…"),
            ("anything", 1, "…"),
            ("anything", 0, ""),
        ];
        for (text, most, expected) in cases {
            let shown = shortened(text, most);
            assert_eq!(shown, expected);
            assert!(width(&shown) <= most, "{text}");
        }
    }
}
