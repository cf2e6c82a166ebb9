"""The operator's command `meetbot-server`: composes and supervises the processes."""
