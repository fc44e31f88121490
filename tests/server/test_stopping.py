"""Stopping: who has connected is still answered, and whoever comes later is told that nobody listens."""

import socket
import sys
import threading

import pytest

from nin.server import lifetime


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")
def test_between_the_last_look_and_the_close_nobody_is_let_in_to_be_cut_off():
    with lifetime.bind("127.0.0.1", 0) as listener, socket.socket() as late:
        listener.setblocking(False)
        with socket.create_connection(listener.getsockname()) as early:
            lifetime._turn_away(listener)
            late.settimeout(0.2)
            with pytest.raises(TimeoutError):
                late.connect(listener.getsockname())
            (arrived,) = lifetime._arrived(listener)
            with arrived:
                assert arrived.getpeername() == early.getsockname()
                early.sendall(b"question")
                arrived.settimeout(5)
                assert arrived.recv(20) == b"question"
                arrived.sendall(b"answer")
                assert early.recv(20) == b"answer"
        address = listener.getsockname()
        threading.Timer(0.1, listener.close).start()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=10)
