//! A terminal's screen as a picture: text with the colour sequences of ECMA-48
//! (SGR), as `tmux capture-pane -e` gives it, to SVG. A pure function: the same screen is the same picture.

mod style;

use std::fmt::Write as _;

use self::style::Style;

/// Size of a character cell, and of the frame.
const CELL: (usize, usize) = (9, 19);
const MARGIN: usize = 14;
const BAR: usize = 30;
/// Most that is drawn of a screen.
const MOST_LINES: usize = 200;
const MOST_COLUMNS: usize = 400;

/// Neighbouring characters of one style.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    column: usize,
    style: Style,
    text: String,
}

/// The screen in a window with a title. Lines that are empty at the end are left out.
pub fn svg(title: &str, screen: &str) -> String {
    let mut style = Style::default();
    let mut lines: Vec<_> =
        screen.lines().take(MOST_LINES).map(|line| runs(line, &mut style)).collect();
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    let columns = lines.iter().flatten().map(Run::end).max().unwrap_or(0).max(60);
    let (width, height) = (columns * CELL.0 + 2 * MARGIN, lines.len() * CELL.1 + 2 * MARGIN + BAR);
    let mut out = String::new();
    // Writing to a String never fails.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,\
         'DejaVu Sans Mono',monospace\" font-size=\"15\">\n\
         <title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{back}\"/>\n\
         <path d=\"M0 {BAR}V8a8 8 0 0 1 8-8H{right}a8 8 0 0 1 8 8V{BAR}Z\" fill=\"#30363d\"/>\n\
         <text x=\"{middle}\" y=\"20\" text-anchor=\"middle\" font-size=\"13\" fill=\"#adbac7\">{title}</text>\n",
        title = escaped(title),
        back = style::BACKGROUND,
        right = width - 8,
        middle = width / 2,
    );
    for (number, line) in lines.iter().enumerate() {
        for run in line {
            draw(&mut out, number, run);
        }
    }
    out.push_str("</svg>\n");
    out
}

impl Run {
    fn end(&self) -> usize {
        self.column + self.text.chars().count()
    }
}

fn draw(out: &mut String, line: usize, run: &Run) {
    let (x, top) = (MARGIN + run.column * CELL.0, BAR + MARGIN + line * CELL.1);
    let width = run.text.chars().count() * CELL.0;
    let (fore, back) = run.style.colours();
    if let Some(back) = back {
        let height = CELL.1;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"{back}\"/>"
        );
    }
    if run.text.trim().is_empty() {
        return;
    }
    let base = top + 14;
    let _ = write!(
        out,
        "<text x=\"{x}\" y=\"{base}\" textLength=\"{width}\" xml:space=\"preserve\" fill=\"{fore}\""
    );
    out.push_str(&run.style.attributes());
    let _ = writeln!(out, ">{}</text>", escaped(&run.text));
}

/// The runs of a line, blanks at its end left out. The style goes on into the next line.
fn runs(line: &str, style: &mut Style) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut column = 0;
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => obey(&mut rest, style),
            '\u{e}' | '\u{f}' => {}
            _ if character.is_control() || column >= MOST_COLUMNS => {}
            _ => {
                match runs.last_mut() {
                    Some(last) if last.style == *style => last.text.push(character),
                    _ => runs.push(Run { column, style: *style, text: character.to_string() }),
                }
                column += 1;
            }
        }
    }
    while let Some(last) = runs.last_mut() {
        if last.style.is_visible_on_blanks() {
            break;
        }
        last.text.truncate(last.text.trim_end().len());
        if !last.text.is_empty() {
            break;
        }
        runs.pop();
    }
    runs
}

/// Takes an escape sequence: colours are obeyed, all others passed over.
fn obey(rest: &mut std::str::Chars<'_>, style: &mut Style) {
    match rest.next() {
        Some('[') => {
            let mut parameters = String::new();
            for character in rest {
                if ('\u{40}'..='\u{7e}').contains(&character) {
                    if character == 'm' {
                        style.apply(&parameters);
                    }
                    return;
                }
                parameters.push(character);
            }
        }
        // A string, such as a link's target: up to its terminator.
        Some(']') => {
            let mut before = ' ';
            for character in rest {
                if character == '\u{7}' || (before, character) == ('\u{1b}', '\\') {
                    return;
                }
                before = character;
            }
        }
        // Which set of characters.
        Some('(' | ')') => drop(rest.next()),
        _ => {}
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<(usize, String)> {
        let mut style = Style::default();
        runs(line, &mut style).into_iter().map(|run| (run.column, run.text)).collect()
    }

    #[test]
    fn text_is_cut_where_its_style_changes() {
        let cases: [(&str, &[(usize, &str)]); 8] = [
            ("", &[]),
            ("plain   ", &[(0, "plain")]),
            ("a \u{1b}[1mb\u{1b}[0m c", &[(0, "a "), (2, "b"), (3, " c")]),
            ("\u{1b}[31m\u{1b}[39mx", &[(0, "x")]),
            ("\u{1b}[44m  \u{1b}[0m  ", &[(0, "  ")]),
            ("\u{1b}[2Kx\u{1b}(B", &[(0, "x")]),
            ("\u{1b}]8;;http://x\u{1b}\\x", &[(0, "x")]),
            ("\u{1b}[3", &[]),
        ];
        for (line, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(at, text)| (*at, (*text).to_owned())).collect();
            assert_eq!(texts(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_picture_holds_the_text_and_nothing_that_could_end_it() {
        let picture = svg("a & b", "one <two>\n\u{1b}[1;32mthree\u{1b}[0m\n\n\n");
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(picture.contains(">one &lt;two&gt;</text>"), "{picture}");
        assert!(picture.contains("a &amp; b"), "{picture}");
        assert!(picture.contains("font-weight=\"bold\">three</text>"), "{picture}");
        assert!(!picture.contains('\u{1b}'), "{picture}");
        let lines = 2;
        let height = lines * CELL.1 + 2 * MARGIN + BAR;
        assert!(picture.contains(&format!("height=\"{height}\"")), "{picture}");
        assert_eq!(picture, svg("a & b", "one <two>\n\u{1b}[1;32mthree\u{1b}[0m"));
    }

    #[test]
    fn a_screen_of_any_size_is_a_small_picture() {
        let line = "\u{1b}[31mx\u{1b}[32my".repeat(100);
        let picture = svg("t", &format!("{line}\n").repeat(10_000));
        assert!(svg("t", &"x".repeat(100_000)).len() < 20_000);
        assert_eq!(picture.matches("<text ").count(), 1 + 200 * MOST_LINES);
    }
}
