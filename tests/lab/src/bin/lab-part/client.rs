//! The parts that call others.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use crate::output;

/// When a call counts as unanswered.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a browser keeps its connections.
const KEPT: Duration = Duration::from_secs(4);
const SECOND: Duration = Duration::from_secs(1);
/// Connections of a page.
const AT_ONCE: usize = 3;
const DOWNLOAD_BYTES: u64 = 40_000_000;
/// Taken of a download at a time, ten times a second.
const BITE_BYTES: usize = 200_000;
/// Sent to a backup server at a time.
const SAVED_BYTES: usize = 300_000;
/// What programs listen on that a scan looks for.
const SCANNED: [u16; 8] = [22, 80, 139, 445, 631, 3389, 5900, 8080];
/// Multicast DNS, and the local broadcast.
const SHOUTS: [([u8; 4], u16); 2] = [([224, 0, 0, 251], 5353), ([255, 255, 255, 255], 9)];

/// Opens pages of each site in turn.
pub(crate) fn browse(sites: &[String]) {
    for site in sites.iter().cycle() {
        let mut kept = Vec::new();
        for _ in 0..AT_ONCE {
            kept.extend(
                call(site, 80).and_then(|connection| get(connection, "/", usize::MAX).ok()),
            );
        }
        sleep(KEPT / sites.len().clamp(1, 4) as u32);
    }
}

/// Downloads a file at two megabytes a second.
pub(crate) fn download(site: &str) {
    loop {
        if let Some(connection) = call(site, 80) {
            // One that breaks off is begun again.
            let _ = get(connection, &format!("/{DOWNLOAD_BYTES}"), BITE_BYTES);
        }
        sleep(SECOND);
    }
}

/// Saves something near, and tries to do so far away.
pub(crate) fn back_up(near: &str, far: &str) {
    loop {
        for server in [near, far] {
            if let Some(mut connection) = call(server, 80) {
                let head = format!("PUT /backup HTTP/1.1\r\nContent-Length: {SAVED_BYTES}\r\n\r\n");
                let sent = connection.write_all(head.as_bytes());
                // A server that has had enough is tried again.
                let _ = sent.and_then(|()| connection.write_all(&vec![b'.'; SAVED_BYTES]));
                sleep(SECOND);
            }
        }
        sleep(SECOND);
    }
}

/// Reports.
pub(crate) fn call_home(site: &str) {
    loop {
        if let Some(mut connection) = call(site, 80) {
            let report = "POST /report HTTP/1.1\r\nContent-Length: 4\r\n\r\nwho?";
            let _ = connection.write_all(report.as_bytes());
        }
        sleep(SECOND);
    }
}

/// Tries one port after the other, and shouts.
pub(crate) fn pester(host: IpAddr) {
    let shouting = UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| {
        socket.set_broadcast(true)?;
        Ok(socket)
    });
    for port in SCANNED.into_iter().cycle() {
        call(&host.to_string(), port);
        if let Ok(socket) = &shouting {
            for (address, port) in SHOUTS {
                // Nobody has to hear it.
                let _ = socket.send_to(b"is anybody there?", SocketAddr::from((address, port)));
            }
        }
    }
}

/// Connects, and says how that went.
fn call(name: &str, port: u16) -> Option<TcpStream> {
    let address = (name, port).to_socket_addrs().ok().and_then(|mut found| found.next());
    let Some(address) = address else {
        output::line(format_args!("unknown {name}"));
        sleep(SECOND);
        return None;
    };
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(connection) => {
            output::line(format_args!("reached {name}"));
            Some(connection)
        }
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            output::line(format_args!("no answer from {name}"));
            None
        }
        Err(_) => {
            output::line(format_args!("refused {name}"));
            None
        }
    }
}

/// Asks for a path and takes the answer, at most so many bytes in a tenth of a second.
fn get(mut connection: TcpStream, path: &str, bite: usize) -> std::io::Result<TcpStream> {
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: demo\r\n\r\n")?;
    let mut buffer = vec![0_u8; bite.min(BITE_BYTES)];
    let length = if path == "/" { 1 } else { DOWNLOAD_BYTES };
    let mut taken = 0;
    while taken < length {
        match connection.read(&mut buffer)? {
            0 => break,
            some => taken += some as u64,
        }
        if bite != usize::MAX {
            sleep(SECOND / 10);
        }
    }
    Ok(connection)
}
