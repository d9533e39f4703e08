//! The terminal: taken over, drawn to, read from, and given back however this ends.

use std::io::{self, BufWriter, Stdout};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};
use seawall_platform::linux::signals::SignalFd;

use super::ask::{Asker, News};
use super::input::{Effect, Input, Key, Move};
use super::model::{Model, Page};
use super::view::{self, Palette};
use crate::cli::Common;
use crate::client::ClientError;
use crate::output;
use crate::verbs::Outcome;

/// How often Seawall is asked what is new.
const NEWS: Duration = Duration::from_secs(1);
/// How often it is asked how it stands.
const HEALTH: Duration = Duration::from_secs(3);
/// How long it is left alone after it didn't answer.
const RETRY: Duration = Duration::from_millis(500);
/// How long keys are waited for before signals and answers are looked at: a tenth of a second.
const LOOK_UP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// How long the program may take to end in order when a signal says so.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// Bytes that are written to the terminal in one go: a large screen.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Follows on the whole screen until the user has seen enough.
pub(super) fn run(common: &Common) -> Result<Outcome, ClientError> {
    let failed = |doing: &'static str| {
        move |source: io::Error| ClientError::Broken { doing, source: Box::new(source) }
    };
    // Before there are other threads, so that all of them leave signals to this one.
    let told = watch_signals().map_err(failed("watch for signals"))?;
    let asker = Asker::start(&common.run_dir).map_err(failed("start a thread"))?;
    let mut screen = Screen::take().map_err(failed("take over the terminal"))?;
    let outcome = screen.follow(asker, &told);
    drop(screen);
    outcome.map_err(failed("use the terminal"))?;
    Ok(Outcome::Done)
}

/// The terminal, in raw mode and on its other page. Given back when dropped.
struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    palette: Palette,
}

/// When what is due.
struct Clock {
    news: Instant,
    health: Instant,
    tick: Instant,
}

impl Screen {
    fn take() -> io::Result<Self> {
        // What a panic says belongs on the page that stays.
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            usual(info);
        }));
        let is_colored = output::is_stdout_colored();
        let palette = if is_colored { Palette::Colours } else { Palette::Plain };
        let mut output = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout());
        terminal::enable_raw_mode()?;
        let begun = execute!(output, EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(output)));
        match begun {
            Ok(terminal) => Ok(Self { terminal, palette }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    fn follow(&mut self, mut asker: Asker, told: &AtomicBool) -> io::Result<()> {
        let size = self.terminal.size()?;
        let mut model = Model::new((size.width, size.height), SystemTime::now());
        let now = Instant::now();
        let mut clock = Clock { news: now, health: now, tick: now + NEWS };
        loop {
            self.terminal.draw(|frame| view::draw(&model, self.palette, frame))?;
            let mut is_dirty = false;
            while !is_dirty {
                if told.load(Ordering::Relaxed) || !has_keyboard()? {
                    return Ok(());
                }
                clock.ask(&mut asker, &model);
                if clock.ticks(Instant::now()) {
                    model.update(Input::Tick, SystemTime::now());
                    is_dirty = true;
                }
                while let Some(input) = asker.answer() {
                    clock.answered(&input);
                    model.update(input, SystemTime::now());
                    is_dirty = true;
                }
                while event::poll(Duration::ZERO)? {
                    let Some(input) = input_of(&event::read()?) else { continue };
                    is_dirty = true;
                    let page = model.page;
                    match model.update(input, SystemTime::now()) {
                        Some(Effect::Quit) => return Ok(()),
                        Some(Effect::Change(change)) => {
                            if let Some(refused) = asker.change(change) {
                                model.update(refused, SystemTime::now());
                            }
                        }
                        None => {}
                    }
                    if model.page != page {
                        clock.news = Instant::now();
                    }
                }
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

impl Clock {
    /// Asks for what is due. While the picture is held, only for how Seawall stands.
    fn ask(&mut self, asker: &mut Asker, model: &Model) {
        let now = Instant::now();
        if asker.waits || now < self.news {
            return;
        }
        let health = now >= self.health;
        if health {
            self.health = now + HEALTH;
        }
        self.news = now + NEWS;
        let since = (!model.paused).then_some((model.known.cursor, model.known.moves));
        let prompts = model.page == Page::Prompts && !model.paused;
        if since.is_some() || health {
            asker.ask(News { since, health, prompts });
        }
    }

    /// Where there is more it is asked for at once; where there is nothing, again soon.
    fn answered(&mut self, input: &Input) {
        let now = Instant::now();
        match input {
            // Without moves the same is told again: nobody knows the owners just now.
            Input::Changes(it) if it.list.more && it.moves.is_some() => self.news = now,
            Input::Lost(_) => {
                self.news = now + RETRY;
                self.health = now;
            }
            // Whatever the rule cut is to be seen at once.
            Input::Rule(Ok(_)) => self.news = now,
            // So is what doesn't wait any more, here and in the number of those that do.
            Input::Answered(_) => {
                self.news = now;
                self.health = now;
            }
            _ => {}
        }
    }

    fn ticks(&mut self, now: Instant) -> bool {
        let ticks = now >= self.tick;
        if ticks {
            self.tick = now + NEWS;
        }
        ticks
    }
}

/// Waits for a key. `false` where the terminal is gone, which whoever reads from it would
/// read from for ever.
fn has_keyboard() -> io::Result<bool> {
    let input = io::stdin();
    let mut fds = [PollFd::new(&input, PollFlags::IN)];
    match poll(&mut fds, Some(&LOOK_UP)) {
        Ok(_) => Ok(!fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP))),
        // Another size, say.
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Says when SIGTERM, SIGINT or SIGHUP came. Should the program not end in order then, it
/// is ended all the same.
fn watch_signals() -> io::Result<Arc<AtomicBool>> {
    let signals = SignalFd::open()?;
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    std::thread::Builder::new().name("monitor-signals".to_owned()).spawn(move || {
        loop {
            let waited = poll(&mut [PollFd::new(&signals, PollFlags::IN)], None);
            match signals.next() {
                Ok(Some(_)) => break,
                Ok(None) if waited.is_ok() || waited == Err(rustix::io::Errno::INTR) => {}
                _ => return,
            }
        }
        tell.store(true, Ordering::Relaxed);
        std::thread::sleep(LAST_BREATH);
        give_back();
        let _ = kill_process(getpid(), Signal::KILL);
    })?;
    Ok(told)
}

/// Also where it was never taken: that does no harm.
fn give_back() {
    let _ = terminal::disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
}

fn input_of(event: &Event) -> Option<Input> {
    match event {
        Event::Resize(columns, lines) => Some(Input::Resize(*columns, *lines)),
        Event::Key(key) if key.kind != KeyEventKind::Release => key_of(*key).map(Input::Key),
        _ => None,
    }
}

fn key_of(key: KeyEvent) -> Option<Key> {
    let with = |modifiers| key.modifiers.intersects(modifiers);
    Some(match key.code {
        KeyCode::Char('c') if with(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(_) if with(KeyModifiers::CONTROL | KeyModifiers::ALT) => return None,
        KeyCode::Char(character) => Key::Character(character),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        KeyCode::Up => Key::Move(Move::Up),
        KeyCode::Down => Key::Move(Move::Down),
        KeyCode::PageUp => Key::Move(Move::PageUp),
        KeyCode::PageDown => Key::Move(Move::PageDown),
        KeyCode::Home => Key::Move(Move::Home),
        KeyCode::End => Key::Move(Move::End),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_their_caps_say() {
        let key = |code, modifiers| key_of(KeyEvent::new(code, modifiers));
        let cases = [
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Key::Interrupt)),
            (KeyCode::Char('c'), KeyModifiers::NONE, Some(Key::Character('c'))),
            (KeyCode::Char('Q'), KeyModifiers::SHIFT, Some(Key::Character('Q'))),
            (KeyCode::Char('x'), KeyModifiers::ALT, None),
            (KeyCode::Esc, KeyModifiers::NONE, Some(Key::Escape)),
            (KeyCode::PageDown, KeyModifiers::NONE, Some(Key::Move(Move::PageDown))),
            (KeyCode::F(1), KeyModifiers::NONE, None),
        ];
        for (code, modifiers, expected) in cases {
            assert_eq!(key(code, modifiers), expected, "{code:?}");
        }
    }
}
