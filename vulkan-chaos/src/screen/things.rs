//! The processes: the workers on the left; the server, and who holds what open in it, on the right.

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::View;
use super::query::Wanted;
use crate::crew::{Doing, Seen};
use crate::server::{How, State};

const WORKERS: u16 = 35;

pub(super) fn show(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    let [left, right] =
        Layout::horizontal([Constraint::Length(WORKERS), Constraint::Min(0)]).areas(area);
    let workers: Vec<_> = (view.facts.members.iter())
        .map(|seen| worker(view, seen))
        .collect();
    frame.render_widget(Paragraph::new(workers), left);
    let things = vec![postgres(view), publisher(view), snapshot(view)];
    frame.render_widget(Paragraph::new(things), right);
}

fn worker(view: &View<'_>, seen: &Seen) -> Line<'static> {
    let theme = view.theme;
    let (doing, style) = match seen.doing {
        Doing::Starting => ("starting", theme.faint()),
        Doing::Working => ("working", theme.good()),
        Doing::Frozen(_) => ("FROZEN", theme.odd()),
        Doing::Dead => ("DEAD", theme.bad()),
    };
    let pid = seen.pid.map_or("-".into(), |pid| pid.to_string());
    let mut line = vec![
        Span::styled(format!("worker {} ", seen.nth), theme.head()),
        Span::styled(format!("{doing:8}"), style),
        Span::raw(format!(" {pid:7} ")),
    ];
    if seen.deaths > 0 {
        let deaths = format!("died {}x", seen.deaths);
        line.push(Span::styled(deaths, theme.faint()));
    }
    Line::from(line)
}

fn postgres(view: &View<'_>) -> Line<'static> {
    let theme = view.theme;
    let (state, style) = match view.facts.server {
        State::Up => ("up".to_owned(), theme.good()),
        State::Away(how, since) => {
            let how = match how {
                How::Fast => "restarts",
                How::Immediate => "crashed, recovers",
            };
            let seconds = Instant::now().saturating_duration_since(since).as_secs();
            (format!("{how}, {seconds} s"), theme.bad())
        }
    };
    thing(view, "Postgres", None, (state, style))
}

fn publisher(view: &View<'_>) -> Line<'static> {
    let stall = view.facts.board.and_then(|board| board.stall.as_ref());
    let state = match stall {
        None => ("nobody holds the log back".into(), view.theme.faint()),
        Some(stall) => {
            let (pid, seconds, behind) = (stall.pid, stall.seconds, stall.behind);
            let state = format!("pid {pid} open {seconds:.0} s, {behind} behind");
            (state, view.theme.odd())
        }
    };
    thing(view, "publisher", Some(Wanted::Stall), state)
}

fn snapshot(view: &View<'_>) -> Line<'static> {
    let snapshot = view.facts.board.and_then(|board| board.snapshot.as_ref());
    let state = match snapshot {
        None => ("nobody holds one".into(), view.theme.faint()),
        Some(held) => {
            let (pid, seconds) = (held.pid, held.seconds);
            let rows = held.dead_rows.unwrap_or_default();
            let state = format!("pid {pid} held {seconds:.0} s, {rows} dead");
            (state, view.theme.odd())
        }
    };
    thing(view, "snapshot", Some(Wanted::Snapshot), state)
}

fn thing(
    view: &View<'_>,
    name: &'static str,
    query: Option<Wanted>,
    (state, style): (String, Style),
) -> Line<'static> {
    let chosen = query == Some(view.wanted);
    let named = if chosen {
        view.theme.chosen()
    } else {
        view.theme.head()
    };
    Line::from(vec![
        Span::styled(name, named),
        Span::raw(" ".repeat(10 - name.len())),
        Span::styled(state, style),
    ])
}
