//! The part of a web server: a page for every path, and as many bytes as a path's number asks for.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::output;

/// Most bytes of a request, its body aside.
const MOST_REQUEST_BYTES: u64 = 4096;
/// Connections served at once; further ones are closed.
const MOST_CONNECTIONS: usize = 64;
/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
const PAGE: &str = "<!doctype html><title>Hello</title><p>Hello from a server of the demo.</p>\n";

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Serves for ever.
pub(crate) fn serve(on: &[SocketAddr]) {
    for address in on {
        match TcpListener::bind(address) {
            Ok(listener) => drop(std::thread::spawn(move || accept(&listener))),
            Err(error) => output::error(format_args!("can't listen on {address}: {error}")),
        }
    }
    output::line("ready");
}

fn accept(listener: &TcpListener) {
    for connection in listener.incoming().flatten() {
        if OPEN.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        std::thread::spawn(move || {
            if let Ok(peer) = connection.peer_addr() {
                output::line(format_args!("reached by {}", peer.ip().to_canonical()));
            }
            // A client that goes away, or says what nobody understands, is no concern of the server's.
            let _ = converse(connection);
            OPEN.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Answers requests until the client has no more.
fn converse(connection: TcpStream) -> std::io::Result<()> {
    connection.set_read_timeout(Some(SILENCE))?;
    let mut answers = connection.try_clone()?;
    let mut requests = BufReader::new(connection);
    loop {
        let (mut path, mut body_bytes) = (None, 0);
        let mut head = (&mut requests).take(MOST_REQUEST_BYTES);
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if path.is_none() {
                path = line.split(' ').nth(1).map(str::to_owned);
            } else if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                body_bytes = length.trim().parse().unwrap_or(0);
            } else if line.is_empty() {
                break;
            }
        }
        std::io::copy(&mut (&mut requests).take(body_bytes), &mut std::io::sink())?;
        answer(&mut answers, &path.unwrap_or_default())?;
    }
}

fn answer(connection: &mut TcpStream, path: &str) -> std::io::Result<()> {
    let asked: u64 = path.trim_start_matches('/').parse().unwrap_or(0);
    let length = if asked > 0 { asked } else { PAGE.len() as u64 };
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n"
    )?;
    if asked == 0 {
        return connection.write_all(PAGE.as_bytes());
    }
    std::io::copy(&mut std::io::repeat(b'.').take(asked), connection).map(drop)
}
