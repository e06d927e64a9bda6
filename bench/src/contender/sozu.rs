//! Sōzu's configuration.

use std::fmt::Write as _;

use super::launch::{Launch, Place};
use super::{HOST, Job, Kind, cores};

pub(super) fn launch(_: Kind, job: &Job, place: &Place) -> Launch {
    let mut backends = String::new();
    for (n, instance) in job.instances.iter().enumerate() {
        let _ = write!(backends, r#"{{ address = "{instance}", backend_id = "i{n}", sticky_id = "i{n}" }}, "#);
    }
    let folder = place.dir.display();
    let access = if job.logged { format!("file://{folder}/access.log") } else { "file:///dev/null".to_owned() };
    let config = format!(
        "command_socket = \"{folder}/sock\"\nlog_level = \"error\"\nlog_target = \"stdout\"\naccess_logs_target = \"{access}\"\n\
         worker_count = {}\nworker_automatic_restart = false\nmax_connections = 9500\nmax_buffers = 20000\nactivate_listeners = true\n\
         [[listeners]]\nprotocol = \"http\"\naddress = \"{address}\"\nsticky_name = \"edge\"\n\
         front_timeout = 120\nback_timeout = 120\nconnect_timeout = 3\n\
         [clusters.todos]\nprotocol = \"http\"\nsticky_session = true\nload_balancing = \"LEAST_LOADED\"\n\
         frontends = [{{ address = \"{address}\", hostname = \"{HOST}\" }}]\nbackends = [{backends}]\n",
        cores(),
        address = place.address,
    );
    let arguments = vec!["--config".into(), place.dir.join("sozu.toml").into(), "start".into()];
    Launch { arguments, files: vec![("sozu.toml", config)] }
}
