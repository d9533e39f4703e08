//! How the screen is divided, and which columns there is room for. Pure.

/// The smallest screen: columns, lines.
pub(crate) const SMALLEST: (u16, u16) = (60, 15);

/// Lines that are no list: two at the top, a heading for each list, one at the bottom.
const FIXED_LINES: usize = 5;

/// Widest far end: an IPv6 address with its port.
const WIDEST_END: usize = 47;

/// Lines of the two lists, headings aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Apps.
    pub(crate) apps: usize,
    /// Connections.
    pub(crate) connections: usize,
}

/// A column of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Name of the app.
    App,
    /// Its open connections.
    Open,
    /// Its denials of late.
    Denied,
    /// Bytes a second from here.
    SentRate,
    /// Bytes a second to here.
    ReceivedRate,
    /// The last minute.
    Graph,
    /// Bytes from here.
    Sent,
    /// Bytes to here.
    Received,
    /// What became of it.
    Verdict,
    /// The other end.
    FarEnd,
    /// The protocol.
    Protocol,
    /// Who opened it.
    Direction,
    /// Since it was decided.
    Age,
    /// The process.
    Pid,
    /// Why.
    Reason,
    /// The number of a prompt.
    Id,
    /// How a prompt stands, or how long an answer counts.
    State,
    /// Where a prompt leads, or what was answered.
    What,
    /// Connections that wait for a prompt.
    Waiting,
    /// What an answer is about.
    About,
}

/// In the order in which they are left out, last first, with the columns they need.
const OF_APPS: [(Column, usize); 8] = [
    (Column::App, 12),
    (Column::Open, 5),
    (Column::SentRate, 8),
    (Column::ReceivedRate, 8),
    (Column::Graph, 10),
    (Column::Denied, 6),
    (Column::Sent, 8),
    (Column::Received, 8),
];

/// As [`OF_APPS`].
const OF_CONNECTIONS: [(Column, usize); 11] = [
    (Column::Verdict, 7),
    (Column::FarEnd, 21),
    (Column::Protocol, 5),
    (Column::Direction, 3),
    (Column::ReceivedRate, 8),
    (Column::Age, 6),
    (Column::App, 14),
    (Column::Reason, 20),
    (Column::SentRate, 8),
    (Column::Received, 8),
    (Column::Sent, 8),
];

/// As [`OF_APPS`].
const OF_PROMPTS: [(Column, usize); 6] = [
    (Column::State, 15),
    (Column::App, 10),
    (Column::What, 18),
    (Column::About, 12),
    (Column::Id, 4),
    (Column::Waiting, 7),
];

/// In the order in which they stand.
const SHOWN: [Column; 20] = [
    Column::Id,
    Column::State,
    Column::Verdict,
    Column::App,
    Column::What,
    Column::Waiting,
    Column::About,
    Column::Open,
    Column::Denied,
    Column::FarEnd,
    Column::Protocol,
    Column::Direction,
    Column::SentRate,
    Column::ReceivedRate,
    Column::Graph,
    Column::Sent,
    Column::Received,
    Column::Age,
    Column::Pid,
    Column::Reason,
];

/// Room for the process, where all others have theirs.
const PID: usize = 7;

impl Layout {
    /// Of a screen of that size: a third for the apps.
    pub(crate) fn of((_, lines): (u16, u16)) -> Self {
        let lines = usize::from(lines).saturating_sub(FIXED_LINES);
        let apps = (lines / 3).clamp(4.min(lines), 24);
        Self { apps, connections: lines - apps }
    }
}

/// Lines of the list of prompts and of the details below it, headings aside.
pub(crate) fn of_prompt_page((_, lines): (u16, u16)) -> (usize, usize) {
    /// What is told of a prompt that leads to one place.
    const MOST_DETAILS: usize = 10;
    let lines = usize::from(lines).saturating_sub(FIXED_LINES);
    let details = MOST_DETAILS.min(lines * 3 / 5);
    (lines - details, details)
}

/// The columns of the list of apps, each with its width, blank between them.
pub(crate) fn of_apps(width: usize) -> Vec<(Column, usize)> {
    let mut columns = fitting(&OF_APPS, width);
    let spare = spread(&mut columns, Column::App, width, 32);
    spread(&mut columns, Column::Graph, spare, 60);
    columns
}

/// The columns of the list of prompts.
pub(crate) fn of_prompts(width: usize) -> Vec<(Column, usize)> {
    let mut columns = fitting(&OF_PROMPTS, width);
    spread(&mut columns, Column::What, width, 60);
    spread(&mut columns, Column::App, width, 32);
    spread(&mut columns, Column::What, width, usize::MAX);
    columns
}

/// The columns of the list of connections. Where one app is chosen, its name goes without saying.
pub(crate) fn of_connections(width: usize, with_app: bool) -> Vec<(Column, usize)> {
    let wanted: Vec<_> = OF_CONNECTIONS
        .into_iter()
        .filter(|(column, _)| with_app || *column != Column::App)
        .collect();
    let mut columns = fitting(&wanted, width);
    if columns.len() == wanted.len() && used(&columns) + 1 + PID <= width {
        columns.push((Column::Pid, PID));
        arrange(&mut columns);
    }
    let has_reason = columns.iter().any(|(column, _)| *column == Column::Reason);
    // Reasons are what people look for: half of the room is theirs.
    let spare = width.saturating_sub(used(&columns));
    let most = if has_reason { width - spare / 2 } else { width };
    spread(&mut columns, Column::FarEnd, most, WIDEST_END);
    spread(&mut columns, Column::Reason, width, usize::MAX);
    columns
}

fn fitting(wanted: &[(Column, usize)], width: usize) -> Vec<(Column, usize)> {
    let mut columns = Vec::new();
    for column in wanted {
        columns.push(*column);
        if used(&columns) > width {
            columns.pop();
            break;
        }
    }
    arrange(&mut columns);
    columns
}

fn arrange(columns: &mut [(Column, usize)]) {
    columns.sort_by_key(|(column, _)| SHOWN.iter().position(|shown| shown == column));
}

fn used(columns: &[(Column, usize)]) -> usize {
    columns.iter().map(|(_, width)| width + 1).sum::<usize>().saturating_sub(1)
}

/// Gives a column what room is left, up to so much. Gives the width back.
fn spread(columns: &mut [(Column, usize)], which: Column, width: usize, widest: usize) -> usize {
    let spare = width.saturating_sub(used(columns));
    if let Some((_, own)) = columns.iter_mut().find(|(column, _)| *column == which) {
        *own = own.saturating_add(spare).min(widest.max(*own));
    }
    width
}

impl Column {
    /// Its heading.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::App => "APP",
            Self::Open => "OPEN",
            Self::Denied => "DENIED",
            Self::SentRate => "SENT/S",
            Self::ReceivedRate => "RECV/S",
            Self::Graph => "LAST MINUTE",
            Self::Sent => "SENT",
            Self::Received => "RECV",
            Self::Verdict => "VERDICT",
            Self::FarEnd => "FAR END",
            Self::Protocol => "PROTO",
            Self::Direction => "DIR",
            Self::Age => "AGE",
            Self::Pid => "PID",
            Self::Reason => "REASON",
            Self::Id => "ID",
            Self::State => "STATE",
            Self::What => "WHAT",
            Self::Waiting => "WAITING",
            Self::About => "ABOUT",
        }
    }

    /// Whether it holds numbers.
    pub(crate) fn is_number(self) -> bool {
        matches!(
            self,
            Self::Open
                | Self::Denied
                | Self::SentRate
                | Self::ReceivedRate
                | Self::Sent
                | Self::Received
                | Self::Age
                | Self::Pid
                | Self::Id
                | Self::Waiting
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_divided_and_none_is_left_over() {
        for (lines, apps, connections) in [(15, 4, 6), (24, 6, 13), (50, 15, 30), (200, 24, 171)] {
            assert_eq!(Layout::of((80, lines)), Layout { apps, connections }, "{lines}");
        }
        assert_eq!(Layout::of((80, 0)), Layout { apps: 0, connections: 0 });
        for (lines, page) in [(15, (4, 6)), (24, (9, 10)), (50, (35, 10)), (0, (0, 0))] {
            assert_eq!(of_prompt_page((80, lines)), page, "{lines}");
        }
    }

    #[test]
    fn columns_never_need_more_than_there_is_and_come_in_with_room() {
        let mut most = (0, 0);
        for width in usize::from(SMALLEST.0) - 2..500 {
            let (apps, connections) = (of_apps(width), of_connections(width, true));
            assert!(used(&apps) <= width && used(&connections) <= width, "{width}");
            assert!(apps.len() >= most.0 && connections.len() >= most.1, "{width}");
            most = (apps.len(), connections.len());
            let own = of_connections(width, false);
            assert!(used(&own) <= width && own.len() + 1 >= connections.len(), "{width}");
        }
        assert_eq!(most, (8, 12));
        let wide = of_prompts(500);
        assert_eq!((used(&wide), wide.len()), (500, 6));
        let narrow: Vec<_> = of_prompts(58).into_iter().map(|(column, _)| column).collect();
        assert_eq!(narrow, [Column::State, Column::App, Column::What, Column::About]);
        let least: Vec<_> =
            of_connections(58, true).into_iter().map(|(column, _)| column).collect();
        use Column::{Age, Direction, FarEnd, Protocol, ReceivedRate, Verdict};
        assert_eq!(least, [Verdict, FarEnd, Protocol, Direction, ReceivedRate, Age]);
    }
}
