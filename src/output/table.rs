//! Rows under headings, columns as wide as they need to be, and no wider than a
//! terminal: there, the least important columns are cut. In a pipe nothing is.

use std::io::IsTerminal;

use super::style::{self, Style};
use super::text;

/// Between two columns.
const GAP: &str = "  ";

/// A column is not cut below this, nor below its heading.
const NARROWEST: usize = 10;

/// A piece of a row.
pub(crate) struct Cell {
    text: String,
    style: Style,
}

/// See the module.
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[Cell; COLUMNS]>,
    yielding: &'static [usize],
    flows: bool,
}

impl Cell {
    /// A cell in a style.
    pub(crate) fn styled(style: Style, text: &str) -> Self {
        Self { text: text::one_line(text).into_owned(), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(Style::Plain, text.as_ref())
    }
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with nothing but its headings.
    pub(crate) fn new(headings: [&str; COLUMNS]) -> Self {
        let headings = headings.map(|heading| Cell::styled(Style::Strong, heading));
        Self { rows: vec![headings], yielding: &[], flows: false }
    }

    /// Has the last column go on below where there isn't room: nothing of it is cut.
    pub(crate) fn flowing(self) -> Self {
        Self { flows: true, ..self }
    }

    /// Says which columns are cut where there isn't room for all: the first
    /// named first, each before the next. Columns count from 0.
    pub(crate) fn yielding(self, yielding: &'static [usize]) -> Self {
        Self { yielding, ..self }
    }

    /// Adds a row.
    pub(crate) fn row<C: Into<Cell>>(&mut self, cells: [C; COLUMNS]) {
        self.rows.push(cells.map(Into::into));
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        for text in self.lines(terminal_columns(), style::on_stdout()) {
            super::print(&text);
        }
    }

    /// The table as lines, without blanks at their ends.
    fn lines(&self, room: Option<usize>, is_colored: bool) -> Vec<String> {
        let widths = self.widths(room);
        match room.filter(|_| self.flows) {
            None => self.rows.iter().map(|row| line(row, &widths, is_colored)).collect(),
            Some(room) => {
                self.rows.iter().flat_map(|row| flowing(row, &widths, room, is_colored)).collect()
            }
        }
    }

    fn widths(&self, room: Option<usize>) -> [usize; COLUMNS] {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(text::width(&cell.text));
            }
        }
        let Some(room) = room else { return widths };
        let gaps = GAP.len() * COLUMNS.saturating_sub(1);
        for column in self.yielding {
            let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
            let heading = self.rows.first().and_then(|row| row.get(*column));
            let narrowest = heading.map_or(0, |cell| text::width(&cell.text)).max(NARROWEST);
            if let Some(width) = widths.get_mut(*column) {
                *width = width.saturating_sub(over).max(narrowest.min(*width));
            }
        }
        widths
    }
}

/// A row whose last cell goes on below itself, broken between words.
fn flowing(row: &[Cell], widths: &[usize], room: usize, is_colored: bool) -> Vec<String> {
    let (Some((last, before)), Some((_, widths))) = (row.split_last(), widths.split_last()) else {
        return Vec::new();
    };
    let indent = widths.iter().map(|width| width + GAP.len()).sum::<usize>();
    let room = room.saturating_sub(indent).max(NARROWEST);
    let mut pieces = text::broken(&last.text, room).into_iter();
    let first = Cell { text: pieces.next().unwrap_or_default(), style: last.style };
    let cells: Vec<&Cell> = before.iter().chain([&first]).collect();
    let widths: Vec<usize> = widths.iter().copied().chain([room]).collect();
    let mut lines = vec![line(cells, &widths, is_colored)];
    let below = |piece: String| " ".repeat(indent) + &last.style.paint(&piece, is_colored);
    lines.extend(pieces.map(below));
    lines
}

fn line<'a>(row: impl IntoIterator<Item = &'a Cell>, widths: &[usize], is_colored: bool) -> String {
    let mut line = String::new();
    let mut blanks = 0;
    for (cell, width) in row.into_iter().zip(widths) {
        let shown = text::shortened(&cell.text, *width);
        let taken = text::width(&shown);
        if taken > 0 {
            line.extend(std::iter::repeat_n(' ', blanks));
            line.push_str(&cell.style.paint(&shown, is_colored));
            blanks = 0;
        }
        blanks += width.saturating_sub(taken) + GAP.len();
    }
    line
}

/// Columns of the terminal that standard output is; `None` where it is none.
fn terminal_columns() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new(["NAME", "STATE", "REASON"]).yielding(&[2, 0]);
        table.row(["api", "", "because of this and that"]);
        table.row(["datapath/new", "running", ""]);
        table
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let expected = [
            "NAME          STATE    REASON",
            "api                    because of this and that",
            "datapath/new  running",
        ];
        assert_eq!(table().lines(None, false), expected);
        assert_eq!(table().lines(Some(200), false), expected);
    }

    #[test]
    fn the_least_important_columns_are_cut_first() {
        let expected = [
            "NAME          STATE    REASON",
            "api                    because of thi…",
            "datapath/new  running",
        ];
        assert_eq!(table().lines(Some(38), false), expected);
        let expected = [
            "NAME        STATE    REASON",
            "api                  because o…",
            "datapath/…  running",
        ];
        assert_eq!(table().lines(Some(31), false), expected);
        // There is a width below which nothing more is cut.
        assert_eq!(table().lines(Some(5), false), expected);
    }

    #[test]
    fn a_flowing_column_goes_on_below_itself() {
        let mut table = Table::new(["STEP", "SAW"]).flowing();
        table.row(["first", "it is neither this nor that"]);
        table.row(["second", "short"]);
        let expected =
            ["STEP    SAW", "first   it is neither", "        this nor that", "second  short"];
        assert_eq!(table.lines(Some(22), false), expected);
        let whole = ["STEP    SAW", "first   it is neither this nor that", "second  short"];
        assert_eq!(table.lines(None, false), whole);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let mut table = Table::new(["A", "B"]);
        table.row(["漢字", "x"]);
        table.row(["four", "y"]);
        assert_eq!(table.lines(None, false), ["A     B", "漢字  x", "four  y"]);
    }

    #[test]
    fn what_others_wrote_stays_in_its_cell_and_colours_take_no_room() {
        let mut table = Table::new(["A", "B"]);
        table.row([Cell::styled(Style::Good, "ok"), Cell::from("x\n\u{1b}[2J")]);
        assert_eq!(table.lines(None, false), ["A   B", "ok  x\\n\\u{1b}[2J"]);
        let expected =
            ["\u{1b}[1mA\u{1b}[0m   \u{1b}[1mB\u{1b}[0m", "\u{1b}[32mok\u{1b}[0m  x\\n\\u{1b}[2J"];
        assert_eq!(table.lines(None, true), expected);
    }
}
