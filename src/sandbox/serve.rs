//! The threads that serve the sandbox: accepting, one request after the other, and living through
//! faults. What a request does is the world's business. IO.

use std::io;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use tokio_util::sync::CancellationToken;

use super::fault::Fault;
use super::wire::{Connection, Request, Response};
use super::world::World;

/// Starts one thread that serves until `stop`.
pub(super) fn spawn(
    listener: TcpListener,
    world: Arc<World>,
    stop: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Builder::new().name("sandbox".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = stop.cancelled() => {}
                outcome = accept(listener, world) => {
                    if let Err(error) = outcome {
                        tracing::error!(%error, "the sandbox cannot accept connections");
                    }
                }
            }
        });
    })
}

async fn accept(listener: TcpListener, world: Arc<World>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _client) = listener.accept().await?;
        stream.set_nodelay(true)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with its connection or its runtime"
        )]
        tokio::spawn(converse(Connection::new(stream), Arc::clone(&world)));
    }
}

/// Serves a connection until either side has had enough.
async fn converse(mut connection: Connection, world: Arc<World>) {
    loop {
        let request = match connection.next_request().await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "the sandbox drops a connection");
                return;
            }
        };
        if respond(&mut connection, &world, &request).await.is_break() {
            return;
        }
    }
}

async fn respond(connection: &mut Connection, world: &World, request: &Request) -> ControlFlow<()> {
    let response = match world.fault_for(request) {
        None => Some(world.perform(request)),
        Some(fault) => suffer(connection, world, request, &fault).await,
    };
    let Some(response) = response else {
        return ControlFlow::Break(());
    };
    let close = request.closes();
    match connection.answer(&response, close).await {
        Ok(()) if !close => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    }
}

/// Lives through a fault; `None` hangs up.
async fn suffer(
    connection: &mut Connection,
    world: &World,
    request: &Request,
    fault: &Fault,
) -> Option<Response> {
    match fault {
        Fault::StalledBefore(pause) => {
            let patient = connection.client_outlasts(*pause).await;
            patient.then(|| world.perform(request))
        }
        Fault::DoneThenStalled(pause) => {
            let response = world.perform(request);
            connection.client_outlasts(*pause).await.then_some(response)
        }
        _ => world.suffer(request, fault),
    }
}
