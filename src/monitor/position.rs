//! Where a list stands, and where moves lead in it.

use super::input::Move;

/// Where a list stands: which line is selected, and which is the first to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The selected line.
    pub(crate) selected: usize,
    /// The line at the top.
    pub(crate) first: usize,
}

impl Position {
    /// Keeps the selection among so many lines, and the lines that are seen around it.
    pub(super) fn show(&mut self, page: usize, count: usize) {
        self.selected = self.selected.min(count.saturating_sub(1));
        let least = (self.selected + 1).saturating_sub(page);
        self.first = self.first.min(self.selected).max(least).min(count.saturating_sub(page));
    }
}

/// Where a move leads, from line to line or by pages.
pub(super) fn moved(from: usize, to: Move, page: usize, last: usize) -> usize {
    let page = page.max(2) - 1;
    match to {
        Move::Up => from.saturating_sub(1),
        Move::Down => from.saturating_add(1).min(last),
        Move::PageUp => from.saturating_sub(page),
        Move::PageDown => from.saturating_add(page).min(last),
        Move::Home => 0,
        Move::End => last,
    }
}
