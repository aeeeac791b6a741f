//! Drawing: the room's name, messages, who is there, a line for what is going on, and what is typed.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use telemesh::chat::escaped;

use super::model::{Member, Message, Model};
use super::way;

/// Columns for who is there. Where there is less room than [`NARROW`] it is left out.
const SIDE: u16 = 23;
const NARROW: u16 = 60;

/// Lines of what is typed that are shown at most.
const MOST_INPUT: u16 = 5;

/// What can be done, from the longest to the shortest, for every width.
const HINTS: [&str; 3] = [
    " Enter sends · Alt-Enter new line · PgUp older · ↑ edit · /help · Ctrl-C",
    " Enter sends · PgUp older · /help · Ctrl-C",
    " /help · Ctrl-C",
];

/// Draws all of it, whatever the size.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model) {
    let area = frame.area();
    let input = wrap(&shown_input(model.editor.text()), usize::from(area.width).saturating_sub(2).max(1));
    let height = u16::try_from(input.len()).unwrap_or(MOST_INPUT).clamp(1, MOST_INPUT);
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(height),
    ]);
    let [title, middle, status, typed] = rows.areas(area);
    frame.render_widget(
        Paragraph::new(heading(model)).style(Style::new().add_modifier(Modifier::REVERSED)),
        title,
    );
    let side = if area.width >= NARROW { SIDE } else { 0 };
    let [history, members] = Layout::horizontal([Constraint::Min(1), Constraint::Length(side)]).areas(middle);
    messages(frame, history, model);
    if side > 0 {
        who(frame, members, model);
    }
    frame.render_widget(
        Paragraph::new(going_on(model, usize::from(area.width))).style(Style::new().fg(Color::DarkGray)),
        status,
    );
    draw_input(frame, typed, model, &input);
}

fn heading(model: &Model) -> String {
    let count = |state: &str| model.members.iter().filter(|member| member.state == state).count();
    let mut heading = format!(" {} · {} here, {} away", escaped(&model.room), count("here"), count("away"));
    let invited = count("invited");
    if invited > 0 {
        heading.push_str(&format!(", {invited} invited"));
    }
    if !model.joined {
        heading.push_str(" · waiting for its leader");
    }
    heading
}

/// The last lines of the history, or those above them when it is scrolled back.
fn messages(frame: &mut Frame<'_>, area: Rect, model: &mut Model) {
    let (width, height) = (usize::from(area.width).saturating_sub(1).max(1), usize::from(area.height));
    model.width = width;
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (place, message) in model.messages.iter().rev() {
        if lines.len() >= height + model.scrolled {
            break;
        }
        lines.extend(message_lines(message, width).into_iter().rev());
        if model.unread.as_ref() == Some(place) {
            let rule = "─".repeat(width.saturating_sub(5) / 2);
            lines.push(Line::styled(format!("{rule} new {rule}"), Style::new().fg(Color::Yellow)));
        }
    }
    // Nobody scrolls past the first message.
    model.scrolled = model.scrolled.min(lines.len().saturating_sub(height));
    let shown: Vec<Line<'static>> = lines.into_iter().skip(model.scrolled).take(height).rev().collect();
    let from_top = height.saturating_sub(shown.len());
    let area = Rect {
        y: area.y.saturating_add(u16::try_from(from_top).unwrap_or(0)),
        height: area.height.saturating_sub(u16::try_from(from_top).unwrap_or(0)),
        ..area
    };
    frame.render_widget(Paragraph::new(shown), area);
}

/// Rows that a message takes.
pub(super) fn rows(message: &Message, width: usize) -> usize {
    message_lines(message, width).len()
}

fn message_lines(message: &Message, width: usize) -> Vec<Line<'static>> {
    let name = escaped(&message.name).to_string();
    let head = format!("{} {name}: ", clock(message.time_ms));
    let mark = mark(message);
    let mut lines = Vec::new();
    let indent = 6.min(width / 2);
    for (number, part) in message.text.split('\n').enumerate() {
        let shown = escaped(part.trim_end_matches('\r')).to_string();
        let text = if number == 0 { format!("{head}{shown}") } else { format!("{:indent$}{shown}", "") };
        for (row, piece) in wrap_indented(&text, width, indent).into_iter().enumerate() {
            let first = number == 0 && row == 0;
            lines.push(match piece.strip_prefix(&head).filter(|_| first) {
                Some(rest) => Line::from(vec![
                    Span::styled(clock(message.time_ms), Style::new().fg(Color::DarkGray)),
                    Span::styled(format!(" {name}: "), name_style(message)),
                    Span::raw(rest.to_owned()),
                ]),
                None => Line::raw(piece),
            });
        }
    }
    if let (Some(last), Some(mark)) = (lines.last_mut(), mark) {
        let style = Style::new().fg(Color::DarkGray);
        if last.width() + mark.chars().count() < width {
            last.push_span(Span::styled(format!(" {mark}"), style));
        } else {
            lines.push(Line::styled(format!("{:indent$}{mark}", ""), style));
        }
    }
    lines
}

fn name_style(message: &Message) -> Style {
    let style = Style::new().add_modifier(Modifier::BOLD);
    if message.own { style.fg(Color::Cyan) } else { style.fg(Color::Green) }
}

/// What has become of a message: edited, and for ours how many have received and read it.
fn mark(message: &Message) -> Option<String> {
    let edited = if message.edited { "(edited) " } else { "" };
    let delivery = match message.delivery {
        _ if !message.own => "".to_owned(),
        None | Some((0, _, _)) => "·".to_owned(),
        Some((_, read, of)) if read == of => "✓✓".to_owned(),
        Some((_, read, of)) if read > 0 => format!("✓✓{read}/{of}"),
        Some((received, _, of)) if received == of => "✓".to_owned(),
        Some((received, _, of)) => format!("✓{received}/{of}"),
    };
    let mark = format!("{edited}{delivery}").trim_end().to_owned();
    (!mark.is_empty()).then_some(mark)
}

fn who(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let mut members: Vec<&Member> = model.members.iter().collect();
    let rank =
        |member: &Member| ["us", "here", "away", "invited"].iter().position(|word| *word == member.state);
    members.sort_by_key(|member| (rank(member), member.name.clone()));
    let room = usize::from(area.height);
    let mut lines: Vec<Line<'_>> = members.iter().map(|member| member_line(member)).collect();
    if lines.len() > room {
        let more = lines.len() - room.saturating_sub(1);
        lines.truncate(room.saturating_sub(1));
        lines.push(Line::raw(format!("… {more} more")));
    }
    frame.render_widget(Paragraph::new(lines).block(Block::new().borders(Borders::LEFT)), area);
}

fn member_line(member: &Member) -> Line<'static> {
    let (sign, color, word) = match (member.state.as_str(), &member.path) {
        ("us", _) => ("●", Color::Cyan, "you"),
        ("here", Some(path)) => ("●", Color::Green, way(path)),
        ("here", None) => ("●", Color::Green, "here"),
        ("invited", _) => ("?", Color::Yellow, "invited"),
        _ => ("○", Color::DarkGray, "away"),
    };
    let mut name = escaped(&member.name).to_string();
    if member.devices > 0 {
        name.push_str(&format!(" +{}", member.devices));
    }
    let room = usize::from(SIDE) - 4 - word.len();
    let name = cut(&name, room);
    let style = if member.liar { Style::new().fg(Color::Red) } else { Style::new() };
    let pad = room.saturating_sub(width_of(&name));
    Line::from(vec![
        Span::styled(format!("{sign} "), Style::new().fg(color)),
        Span::styled(name, style),
        Span::raw(" ".repeat(pad + 1)),
        Span::styled(word, Style::new().fg(Color::DarkGray)),
    ])
}

/// The line above the input, in so many columns.
fn going_on(model: &Model, width: usize) -> String {
    if model.scrolled > 0 {
        let new = match model.new_messages() {
            0 => String::new(),
            new => format!(" · {new} new below"),
        };
        return format!(" older messages{new} · Esc: to the end");
    }
    if let Some(notice) = &model.notice {
        return format!(" {}", escaped(notice));
    }
    let names: Vec<String> = model.typing.keys().map(|name| escaped(name).to_string()).collect();
    match names.as_slice() {
        [] => HINTS.into_iter().find(|hint| width_of(hint) <= width).unwrap_or_default().to_owned(),
        [one] => format!(" {one} types …"),
        many => format!(" {} type …", many.join(", ")),
    }
}

fn draw_input(frame: &mut Frame<'_>, area: Rect, model: &Model, lines: &[String]) {
    let width = usize::from(area.width).saturating_sub(2).max(1);
    let mut before = wrap(&shown_input(model.editor.before()), width);
    if before.last().is_some_and(|last| width_of(last) >= width) {
        before.push(String::new());
    }
    let row = before.len().saturating_sub(1);
    let height = usize::from(area.height);
    let from = (row + 1).saturating_sub(height);
    let text: Vec<Line<'_>> = lines
        .iter()
        .enumerate()
        .skip(from)
        .take(height)
        .map(|(number, line)| Line::raw(format!("{}{line}", if number == 0 { "> " } else { "  " })))
        .collect();
    let text = if text.is_empty() { vec![Line::raw("> ")] } else { text };
    frame.render_widget(Paragraph::new(text), area);
    let column = before.last().map_or(0, |last| width_of(last)) + 2;
    frame.set_cursor_position(Position {
        x: area.x.saturating_add(u16::try_from(column).unwrap_or(0)).min(area.right().saturating_sub(1)),
        y: area.y.saturating_add(u16::try_from(row.saturating_sub(from)).unwrap_or(0)),
    });
}

/// What is typed, with what moves cursors escaped but for line ends.
fn shown_input(text: &str) -> String {
    let lines: Vec<String> =
        text.split('\n').map(|line| escaped(line).to_string().replace("\\\\", "\\")).collect();
    lines.join("\n")
}

/// Hours and minutes of a clock, in UTC.
fn clock(time_ms: u64) -> String {
    let minutes = time_ms / 60_000;
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

fn width_of(text: &str) -> usize {
    Span::raw(text).width()
}

/// The beginning of a text that fits.
fn cut(text: &str, room: usize) -> String {
    if width_of(text) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        if width_of(&short) + width_of(character.encode_utf8(&mut [0; 4])) + 1 > room {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    text.split('\n').flat_map(|line| wrap_indented(line, width, 0)).collect()
}

/// A line in rows, broken between words where that is possible; all but the first are indented.
fn wrap_indented(text: &str, width: usize, indent: usize) -> Vec<String> {
    let (mut rows, mut row, mut used) = (Vec::new(), String::new(), 0);
    let mut space: Option<usize> = None;
    for character in text.chars() {
        let wide = width_of(character.encode_utf8(&mut [0; 4]));
        if used + wide > width && used > indent {
            let rest = match space.take() {
                // The space itself goes.
                Some(at) => row.split_off(at).split_off(1),
                None => String::new(),
            };
            rows.push(std::mem::replace(&mut row, format!("{:indent$}{rest}", "")));
            used = width_of(&row);
            if character == ' ' && rest.is_empty() {
                continue;
            }
        }
        if character == ' ' && used > indent {
            space = Some(row.len());
        }
        row.push(character);
        used += wide;
    }
    rows.push(row);
    rows
}
