//! Below: what has happened, what could be tried, and the keys for it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::View;
use crate::attack::Attack;

pub(super) fn show_rule(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    let rule = "-".repeat(usize::from(area.width));
    frame.render_widget(Line::styled(rule, view.theme.head()), area);
}

pub(super) fn show_news(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    // The newest is the lowest, as in a log.
    let newest = view.news.iter().take(usize::from(area.height));
    let lines: Vec<Line<'_>> = newest
        .rev()
        .map(|(at, sentence)| {
            let seconds = at.as_secs();
            let clock = format!("{:>3}:{:02} ", seconds / 60, seconds % 60);
            let sentence = sentence.lines().next().unwrap_or_default();
            Line::from(vec![
                Span::styled(clock, view.theme.faint()),
                Span::raw(sentence),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

pub(super) fn show_hint(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    let hint = format!("> {}", view.hint);
    frame.render_widget(Line::styled(hint, view.theme.odd()), area);
}

pub(super) fn show_keys(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    let mut keys: Vec<(String, &str)> = Attack::ALL
        .into_iter()
        .map(|attack| (attack.key().to_string(), attack.label()))
        .collect();
    keys.push(("<- ->".into(), "SQL of another number"));
    keys.push(("q".into(), "quit"));
    let mut lines = vec![Vec::new()];
    let mut used = 0;
    for (key, label) in keys {
        let width = key.len() + label.len() + 3;
        if used + width > usize::from(area.width) + 2 {
            lines.push(Vec::new());
            used = 0;
        }
        used += width;
        let key_style = view.theme.head().add_modifier(Modifier::BOLD);
        if let Some(line) = lines.last_mut() {
            line.push(Span::styled(key, key_style));
            line.push(Span::raw(format!(" {label}  ")));
        }
    }
    let lines: Vec<_> = lines.into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines), area);
}
