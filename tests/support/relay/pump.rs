//! One connection through a relay: frames up, answers down, and the cuts between them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::recording::{Frame, PRODUCE, client_in};
use super::{Ending, Point, Shared, Strike};

/// Longer frames are not held whole, as in a broker's own default.
const FRAME_BYTES_MAX: usize = 100 << 20;

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let target = { shared.state() }.upstream;
        let refusing = { shared.state() }.refusing;
        match (target, refusing) {
            (Some(upstream), None) => drop(tokio::spawn(serve(client, upstream, Arc::clone(&shared)))),
            (_, refusing) => {
                let shared = Arc::clone(&shared);
                let by = refusing.unwrap_or(Ending::Reset);
                drop(tokio::spawn(async move { refuse(client, by, &shared).await }));
            }
        }
    }
}

async fn refuse(mut client: TcpStream, by: Ending, shared: &Shared) {
    if by == Ending::Close {
        let _ = client.shutdown().await;
        let _ = swallow(&mut client).await;
    }
    by.apply(client);
    shared.change(|state| state.count_refused());
}

async fn serve(mut client: TcpStream, upstream: std::net::SocketAddr, shared: Arc<Shared>) {
    let Ok(mut broker) = TcpStream::connect(upstream).await else {
        return refuse(client, Ending::Reset, &shared).await;
    };
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let id = shared.change(|state| state.open_connection());
    let pump = Pump { id, shared: &shared, asked: Mutex::default() };
    let ending = pump.run(&mut client, &mut broker).await;
    ending.apply(client);
    ending.apply(broker);
    shared.change(|state| {
        let connection = state.connection(id);
        connection.open = false;
        connection.held = 0;
        connection.cut = None;
    });
}

struct Pump<'a> {
    id: usize,
    shared: &'a Shared,
    /// Requests that have no answer yet: correlation id, api key, version.
    asked: Mutex<VecDeque<(i32, i16, i16)>>,
}

/// What was read: a frame with its length, or bytes that are none.
enum Piece {
    Frame(Bytes),
    Rest(Bytes),
}

impl Pump<'_> {
    async fn run(&self, client: &mut TcpStream, broker: &mut TcpStream) -> Ending {
        let (client_read, client_write) = client.split();
        let (broker_read, broker_write) = broker.split();
        let (queue, queued) = mpsc::unbounded_channel();
        let all = async {
            tokio::try_join!(
                self.requests(client_read, broker_write),
                self.answers(broker_read, queue),
                self.deliver(queued, client_write),
            )
        };
        tokio::select! {
            ending = self.told_to_end() => ending,
            done = all => done.err().unwrap_or(Ending::Close),
        }
    }

    async fn told_to_end(&self) -> Ending {
        let mut bell = self.shared.bell.subscribe();
        loop {
            bell.mark_unchanged();
            let cut = { self.shared.state() }.connection(self.id).cut;
            if let Some(ending) = cut {
                return ending;
            }
            let _ = bell.changed().await;
        }
    }

    async fn requests(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Ending> {
        let mut buffer = BytesMut::new();
        while let Some(piece) = next(&mut from, &mut buffer).await.map_err(reset)? {
            let (bytes, strike) = match piece {
                Piece::Frame(bytes) => {
                    let strike = self.note_request(&bytes);
                    (bytes, strike)
                }
                Piece::Rest(bytes) => {
                    self.shared.change(|state| state.connection(self.id).stream.to_broker.extend_from_slice(&bytes));
                    (bytes, None)
                }
            };
            match strike {
                Some(Strike { point: Point::AfterRequest, .. }) => {
                    to.write_all(&bytes).await.map_err(reset)?;
                    to.shutdown().await.map_err(reset)?;
                    return swallow(from).await.map_err(reset);
                }
                Some(strike) => {
                    to.write_all(&bytes[..bytes.len() / 2]).await.map_err(reset)?;
                    return Err(strike.ending);
                }
                None => to.write_all(&bytes).await.map_err(reset)?,
            }
        }
        to.shutdown().await.map_err(reset)
    }

    async fn answers(
        &self,
        mut from: ReadHalf<'_>,
        to: mpsc::UnboundedSender<(Bytes, Option<usize>)>,
    ) -> Result<(), Ending> {
        let mut buffer = BytesMut::new();
        while let Some(piece) = next(&mut from, &mut buffer).await.map_err(reset)? {
            let entry = match piece {
                Piece::Frame(bytes) => {
                    let place = self.note_answer(&bytes);
                    (bytes, place)
                }
                Piece::Rest(bytes) => {
                    self.shared.change(|state| state.connection(self.id).stream.to_client.extend_from_slice(&bytes));
                    (bytes, None)
                }
            };
            let _ = to.send(entry);
        }
        Ok(())
    }

    /// Passes answers on, a Produce answer only while none are held.
    async fn deliver(
        &self,
        mut from: mpsc::UnboundedReceiver<(Bytes, Option<usize>)>,
        mut to: WriteHalf<'_>,
    ) -> Result<(), Ending> {
        while let Some((bytes, place)) = from.recv().await {
            let strike = match place {
                Some(place) => self.leave_to_go_on(place).await,
                None => None,
            };
            let Some(Strike { point, ending, .. }) = strike else {
                to.write_all(&bytes).await.map_err(reset)?;
                continue;
            };
            let passed = match point {
                Point::InRequest | Point::AfterRequest | Point::BeforeAnswer => 0,
                Point::InAnswer => bytes.len() / 2,
                Point::AfterAnswer => bytes.len(),
            };
            to.write_all(&bytes[..passed]).await.map_err(reset)?;
            return Err(ending);
        }
        to.shutdown().await.map_err(reset)
    }

    async fn leave_to_go_on(&self, place: usize) -> Option<Strike> {
        let mut bell = self.shared.bell.subscribe();
        loop {
            bell.mark_unchanged();
            let holding = { self.shared.state() }.holding;
            if !holding {
                break;
            }
            let _ = bell.changed().await;
        }
        self.shared.change(|state| {
            let strike = state.count_answer(self.id);
            let connection = state.connection(self.id);
            connection.held -= 1;
            let whole = strike.is_none_or(|strike| strike.point == Point::AfterAnswer);
            connection.stream.answers[place].gone_on = whole;
            strike
        })
    }

    fn note_request(&self, frame: &Bytes) -> Option<Strike> {
        let mut head = frame.slice(4..);
        let known = head.len() >= 8;
        let (api, version, correlation) =
            if known { (head.get_i16(), head.get_i16(), head.get_i32()) } else { (-1, -1, -1) };
        let client = client_in(head);
        self.asked.lock().unwrap().push_back((correlation, api, version));
        self.shared.change(|state| {
            if let Some(client) = client {
                state.connection(self.id).stream.client = client;
            }
            let strike = if api == PRODUCE { state.count_request(self.id) } else { None };
            let stream = &mut state.connection(self.id).stream;
            stream.to_broker.extend_from_slice(frame);
            stream.requests.push(Frame {
                api,
                version,
                correlation,
                bytes: frame.slice(4..),
                gone_on: strike.is_none_or(|strike| strike.point == Point::AfterRequest),
            });
            strike
        })
    }

    /// The place of a Produce answer in the record; others go on by themselves.
    fn note_answer(&self, frame: &Bytes) -> Option<usize> {
        let correlation = if frame.len() >= 8 { (&frame[4..8]).get_i32() } else { -1 };
        let asked = self.take_asked(correlation);
        self.shared.change(|state| {
            let connection = state.connection(self.id);
            let stream = &mut connection.stream;
            stream.to_client.extend_from_slice(frame);
            let (_, api, version) = asked?;
            stream.answers.push(Frame { api, version, correlation, bytes: frame.slice(4..), gone_on: true });
            if api != PRODUCE {
                return None;
            }
            connection.held += 1;
            let place = stream.answers.len() - 1;
            stream.answers[place].gone_on = false;
            Some(place)
        })
    }

    /// Requests without an answer (acks=0) are passed over.
    fn take_asked(&self, correlation: i32) -> Option<(i32, i16, i16)> {
        let mut asked = self.asked.lock().unwrap();
        let at = asked.iter().position(|(asked, ..)| *asked == correlation)?;
        asked.drain(..at);
        asked.pop_front()
    }
}

/// Reads to the end, so that nothing unread turns the end of the connection into a reset.
async fn swallow(mut from: impl AsyncRead + Unpin) -> io::Result<()> {
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map(|_| ())
}

async fn next(from: &mut ReadHalf<'_>, buffer: &mut BytesMut) -> io::Result<Option<Piece>> {
    loop {
        if let Some(prefix) = buffer.first_chunk::<4>() {
            let size = usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
            if size > FRAME_BYTES_MAX {
                return Ok(Some(Piece::Rest(buffer.split().freeze())));
            }
            if buffer.len() >= 4 + size {
                return Ok(Some(Piece::Frame(buffer.split_to(4 + size).freeze())));
            }
        }
        if from.read_buf(buffer).await? == 0 {
            let rest = buffer.split().freeze();
            return Ok((!rest.is_empty()).then_some(Piece::Rest(rest)));
        }
    }
}

/// A side that resets, or does not take what it is sent, resets the other.
fn reset(_: io::Error) -> Ending {
    Ending::Reset
}
