# SPDX-License-Identifier: MIT
"""The commands of `glbctl`: where each is, and its line in the lists of help and completion."""

from glb.ctl.lazy import Entry, Group

SETUP = "Setup"
DAEMONS = "Daemons"
TABLES = "Tables and backends"
TRAFFIC = "Traffic"
FAULTS = "Troubleshooting"
TRIALS = "Trials"

COMMANDS = (
    Group(
        "director",
        DAEMONS,
        "The director: takes clients' packets and tunnels them to the proxies.",
        (
            Entry("run", "glb.ctl.director:app", "Run the director on one or more interfaces, in the foreground."),
            Entry("openapi", "glb.ctl.director:app", "Print the OpenAPI description of the director's API."),
            Entry("drain", "glb.ctl.director:app", "Withdraw a director's routes, so that it can be stopped."),
            Entry("announce", "glb.ctl.director:app", "End a drain: announce the routes again."),
            Entry("status", "glb.ctl.director:app", "Show this host's directors: daemon, datapath, tables, packets."),
        ),
    ),
    Group(
        "proxy",
        DAEMONS,
        "The proxy: takes packets out of the tunnel, or sends them on to the next hop.",
        (
            Entry("run", "glb.ctl.proxy:app", "Run the proxy on an interface, in the foreground."),
            Entry("openapi", "glb.ctl.proxy:app", "Print the OpenAPI description of the agent's API."),
            Entry("status", "glb.ctl.proxy:app", "Show this host's proxies: daemon, datapath, packets."),
        ),
    ),
    Group(
        "table",
        TABLES,
        "Forwarding tables: build the binary, show and compare files; plan, apply and roll back changes.",
        (
            Entry("build", "glb.ctl.table:app", "Build the binary table of a file."),
            Entry("show", "glb.ctl.table:app", "Show binds, backends, and each backend's share of new connections."),
            Entry("diff", "glb.ctl.table:app", "Compare two files: rows that move, and what the change would cut."),
            Entry("plan", "glb.ctl.apply:plan_command", "Show what a change would do, and change nothing."),
            Entry("apply", "glb.ctl.apply:apply_command", "Replace the tables that this host's directors follow."),
            Entry("history", "glb.ctl.history:history_command", "List the versions that were loaded, or show one."),
            Entry("rollback", "glb.ctl.apply:rollback_command", "Apply an earlier version of the tables."),
        ),
    ),
    Group(
        "backend",
        TABLES,
        "Backends: drain, add and remove them, set their health. The table file is edited, and directors reload.",
        (
            Entry("drain", "glb.ctl.backend:app", "Send a backend no new connections; it keeps those that it has."),
            Entry("activate", "glb.ctl.backend:app", "Make a backend a full member of its table."),
            Entry("fill", "glb.ctl.backend:app", "Add a backend: it gets new connections, older ones stay in place."),
            Entry("deactivate", "glb.ctl.backend:app", "Keep a drained backend in its table, but in no row."),
            Entry("remove", "glb.ctl.backend:app", "Remove a drained backend from its table."),
            Entry("list", "glb.ctl.health:list_command", "Show state, health and the latest results of checks."),
            Entry("history", "glb.ctl.health:history_command", "Show the changes of a backend's health."),
            Entry("set-health", "glb.ctl.health:set_health_command", "Override the health checks of a backend."),
        ),
    ),
    Group(
        "init",
        SETUP,
        "Write the first configuration of a director or a proxy.",
        (
            Entry("director", "glb.ctl.init:app", "Write director.conf and forwarding_table.json."),
            Entry("proxy", "glb.ctl.init:app", "Write proxy.conf, and what a proxy's network needs."),
        ),
    ),
    Entry("lookup", "glb.ctl.lookup:lookup_command", "Show where a table sends a client's packet.", TABLES),
    Entry("check", "glb.ctl.check:check_command", "Check files as a daemon does at its start.", SETUP),
    Entry("schema", "glb.ctl.schema:schema_command", "Print the JSON Schema of a file.", SETUP),
    Entry("completion", "glb.ctl.completion:completion_command", "Print the completion script of a shell.", SETUP),
    Entry("stats", "glb.ctl.stats:stats_command", "Show packet counters by verdict, bind and backend.", TRAFFIC),
    Entry("top", "glb.ctl.top:top_command", "Show rates by VIP, backend and verdict, continuously.", TRAFFIC),
    Entry("capture", "glb.ctl.capture:capture_command", "Show packets as they arrive and leave.", TRAFFIC),
    Entry("trace", "glb.ctl.trace:trace_command", "Follow one client's packets through all hosts.", TRAFFIC),
    Entry("probe", "glb.ctl.probe:probe_command", "Run a packet through the programs, without sending it.", FAULTS),
    Entry("doctor", "glb.ctl.doctor:doctor_command", "Examine this host and its daemons.", FAULTS),
    Entry("explain", "glb.ctl.explain:explain_command", "Explain a verdict or a warning.", FAULTS),
    Entry("simulate", "glb.ctl.simulate:simulate_command", "Simulate connections through events.", TRIALS),
    Group(
        "xdp-pass",
        TRIALS,
        "An XDP program that passes every packet, for the other end of a veth.",
        (
            Entry("attach", "glb.ctl.xdp_pass:app", "Attach the program to an interface."),
            Entry("detach", "glb.ctl.xdp_pass:app", "Remove the program from an interface."),
        ),
    ),
    Group(
        "lab",
        TRIALS,
        "A lab in network namespaces: clients, a router, directors, proxies with nginx. Needs root.",
        (
            Entry("up", "glb.ctl.lab:app", "Start the lab. It stays until `glbctl lab down`."),
            Entry("down", "glb.ctl.lab:app", "Remove the lab: processes, namespaces, pins, files."),
            Entry("status", "glb.ctl.lab:app", "Show the lab's hosts: addresses, processes, namespaces."),
            Entry("exec", "glb.ctl.lab:app", "Run a command on a host of the lab."),
            Entry("demo", "glb.ctl.lab:app", "Demonstrate a drain on a temporary lab, with real clients."),
        ),
    ),
)
