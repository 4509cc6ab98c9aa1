//! A wire that can be cut at the worst moment: between the server and us, after it did what we asked, before it said so.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Clone, Default)]
pub(crate) struct Proxy {
    cut: Arc<Mutex<Option<&'static [u8]>>>,
}

impl Proxy {
    /// Stands before the server of `url`, under the URL it returns.
    pub(crate) fn before(url: &str) -> (Self, String) {
        let (before, database) = url.rsplit_once('/').unwrap();
        let (user, server) = before.rsplit_once('@').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self::default();
        thread::spawn({
            let (proxy, server) = (proxy.clone(), server.to_owned());
            move || listener.incoming().for_each(|client| proxy.connect(client.unwrap(), &server))
        });
        (proxy, format!("{user}@{address}/{database}"))
    }

    /// Cuts the next connection on which the server says that it completed a `command`, instead of passing that on.
    pub(crate) fn cut_before_completion_of(&self, command: &'static str) {
        *self.cut.lock().unwrap() = Some(command.as_bytes());
    }

    /// Whether the cut that was asked for has happened.
    pub(crate) fn has_cut(&self) -> bool {
        self.cut.lock().unwrap().is_none()
    }

    fn connect(&self, client: TcpStream, server: &str) {
        let server = TcpStream::connect(server).unwrap();
        let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let proxy = self.clone();
        thread::spawn(move || forward(&client, &server, |_| false));
        thread::spawn(move || forward(&server_too, &client_too, |bytes| proxy.is_cut_by(bytes)));
    }

    fn is_cut_by(&self, bytes: &[u8]) -> bool {
        let mut cut = self.cut.lock().unwrap();
        let found = cut.is_some_and(|command| bytes.windows(command.len()).any(|window| window == command));
        if found {
            *cut = None;
        }
        found
    }
}

fn forward(mut from: &TcpStream, mut to: &TcpStream, is_cut_by: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if is_cut_by(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // The other side may have gone first.
    for side in [from, to] {
        _ = side.shutdown(Shutdown::Both);
    }
}
