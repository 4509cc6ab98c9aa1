//! One connection through the proxy: two sockets, and a thread for each direction.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay};

use super::frames::{Part, Requests, ends_ready};
use super::{Cut, Direction, Fault, Moment, Trap, Wire};

#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    /// The directions whose traffic is swallowed. It stays so for ever, because bytes are missing from then on.
    silent: [AtomicBool; 2],
    /// The fault for the next answer.
    awaited: Mutex<Option<Fault>>,
    cut: AtomicBool,
}

/// The link must not carry any more traffic.
struct Over;

impl Link {
    pub(super) fn new(client: TcpStream, server: TcpStream, silent: [bool; 2]) -> Self {
        for socket in [&client, &server] {
            // Client and server would set this themselves. If it fails, the next use of the socket fails too.
            _ = set_tcp_nodelay(socket, true);
        }
        Self {
            client,
            server,
            silent: silent.map(AtomicBool::new),
            awaited: Mutex::default(),
            cut: AtomicBool::new(false),
        }
    }

    pub(super) fn cut(&self, how: Cut) {
        self.cut.store(true, Ordering::SeqCst);
        let side = match how {
            Cut::Fin => Shutdown::Both,
            Cut::Reset => {
                // A reset is sent when the last reader closes the socket. This shutdown ends our own readers.
                for socket in [&self.client, &self.server] {
                    _ = set_socket_linger(socket, Some(Duration::ZERO));
                }
                Shutdown::Read
            }
        };
        for socket in [&self.client, &self.server] {
            // The other side may have closed first.
            _ = socket.shutdown(side);
        }
    }

    pub(super) fn fall_silent(&self, way: Direction) {
        self.silent[way as usize].store(true, Ordering::SeqCst);
    }

    pub(super) fn carry_requests(self: Arc<Self>, wire: &Wire) {
        let mut requests = Requests::default();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = (&self.client).read(&mut buffer) {
            requests.push(&buffer[..read]);
            if self.forward_requests(&mut requests, wire).is_err() {
                return self.cut(Cut::Fin);
            }
        }
        self.end(Direction::Requests, wire);
    }

    /// Forwards the complete messages, up to the one that is struck.
    fn forward_requests(&self, requests: &mut Requests, wire: &Wire) -> Result<(), Over> {
        let mut ready = Vec::new();
        loop {
            let trap = wire.lock().trap;
            let Some((message, part)) = requests.next(trap.map(|trap| trap.statement)) else { break };
            let struck = trap.filter(|trap| match trap.moment {
                Moment::BeforeRequest => matches!(part, Part::Request | Part::Whole),
                Moment::BeforeCommit => part == Part::Sync,
                Moment::BeforeAnswer => matches!(part, Part::Sync | Part::Whole),
            });
            match struck {
                Some(Trap { moment: Moment::BeforeAnswer, fault, .. }) => *self.awaited() = Some(fault),
                Some(Trap { fault, .. }) => {
                    self.forward(Direction::Requests, &std::mem::take(&mut ready), wire)?;
                    self.suffer(fault, wire)?;
                }
                None => {}
            }
            ready.extend(message);
        }
        self.forward(Direction::Requests, &ready, wire)
    }

    pub(super) fn carry_answers(self: Arc<Self>, wire: &Wire) {
        let mut buffer = vec![0; 1 << 16];
        let mut kept = Vec::new();
        while let Ok(read @ 1..) = (&self.server).read(&mut buffer) {
            kept.extend_from_slice(&buffer[..read]);
            let awaited = *self.awaited();
            if let Some(fault) = awaited {
                if !ends_ready(&kept) {
                    continue;
                }
                *self.awaited() = None;
                if self.suffer(fault, wire).is_err() {
                    return;
                }
            }
            if self.forward(Direction::Answers, &std::mem::take(&mut kept), wire).is_err() {
                return self.cut(Cut::Fin);
            }
        }
        self.end(Direction::Answers, wire);
    }

    fn suffer(&self, fault: Fault, wire: &Wire) -> Result<(), Over> {
        // Cause and effect change under one lock, so that a test that sees one also sees the other.
        let mut state = wire.lock();
        state.trap = None;
        match fault {
            Fault::Cut(how) => {
                self.cut(how);
                Err(Over)
            }
            Fault::Silence => {
                state.fall_silent(&[Direction::Requests, Direction::Answers]);
                Ok(())
            }
            Fault::Hold => {
                wire.wait_for_restoration(state);
                Ok(())
            }
        }
    }

    fn forward(&self, way: Direction, bytes: &[u8], wire: &Wire) -> Result<(), Over> {
        if bytes.is_empty() {
            return Ok(());
        }
        let delay = wire.lock().delays[way as usize];
        if !delay.is_zero() {
            sleep(delay);
        }
        if self.silent[way as usize].load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut to = match way {
            Direction::Requests => &self.server,
            Direction::Answers => &self.client,
        };
        to.write_all(bytes).map_err(|_| Over)
    }

    /// One side has closed. The other side is told, unless the link is silent.
    fn end(self: &Arc<Self>, way: Direction, wire: &Wire) {
        if self.cut.load(Ordering::SeqCst) {
            return;
        }
        if self.silent[way as usize].load(Ordering::SeqCst) {
            wire.lock().forgotten.push(Arc::clone(self));
        } else {
            self.cut(Cut::Fin);
        }
    }

    fn awaited(&self) -> MutexGuard<'_, Option<Fault>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes a connection with a reset, as if there was no server.
pub(super) fn reset(client: TcpStream) {
    // The client may have closed already.
    _ = set_socket_linger(&client, Some(Duration::ZERO));
    drop(client);
}
