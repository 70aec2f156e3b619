// SPDX-License-Identifier: BSD-2-Clause
// What the Java virtual machine asks of Linux, by what its programs can see of it: signals that become exceptions,
// pages that stop threads, guard pages, mapped files, garbage, threads of both kinds, sockets, children.
import java.io.RandomAccessFile;
import java.lang.ref.WeakReference;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel.MapMode;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

public class Machine {
    interface Check {
        boolean run() throws Throwable;
    }

    static final class Link {
        Link next;
        final byte[] load = new byte[1000];
    }

    static int done;
    static volatile int sink;

    static void tell(String name, Check check) {
        String why = "";
        boolean good = false;
        try {
            good = check.run();
        } catch (Throwable error) {
            why = ": " + error;
        }
        System.out.println((good ? "" : "not ") + "ok " + ++done + " - " + name);
        if (!why.isEmpty())
            System.out.println("# " + name + why);
    }

    static boolean sum() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<Long>> parts = new ArrayList<>();
        for (int n = 0; n < 4; n++) {
            final int first = n;
            parts.add(pool.submit(() -> {
                long sum = 0;
                for (long i = first; i < 100000; i += 4)
                    sum += new ArrayList<>(List.of(i)).get(0);
                return sum;
            }));
        }
        long sum = 0;
        for (Future<Long> part : parts)
            sum += part.get();
        pool.shutdown();
        return sum == 4999950000L;
    }

    static int length(Link link) {
        return link.load.length;
    }

    /* Compiled code has no test for null: the access faults. */
    static boolean nulls() {
        Link link = new Link();
        int caught = 0;
        for (int i = 0; i < 40000; i++)
            sink = length(link);
        for (int i = 0; i < 20; i++)
            try {
                sink = length(null);
            } catch (NullPointerException error) {
                caught++;
            }
        return caught == 20;
    }

    static int divide(int by) {
        return 1000 / by;
    }

    static boolean zeros() {
        int caught = 0;
        for (int i = 1; i < 40000; i++)
            sink = divide(i);
        for (int i = 0; i < 20; i++)
            try {
                sink = divide(0);
            } catch (ArithmeticException error) {
                caught++;
            }
        return caught == 20;
    }

    static int deep(int n) {
        return deep(n + 1) + 1;
    }

    static boolean deepStacks() throws Exception {
        AtomicInteger caught = new AtomicInteger();
        Runnable fall = () -> {
            try {
                deep(0);
            } catch (StackOverflowError error) {
                caught.incrementAndGet();
            }
        };
        for (int i = 0; i < 3; i++) {
            Thread thread = new Thread(fall);
            thread.start();
            thread.join();
            fall.run();
        }
        return caught.get() == 6;
    }

    /* Some 400 MB, of which a tenth of a hundredth lives on; the heap is smaller. */
    static boolean garbage() {
        WeakReference<Link> lost = new WeakReference<>(new Link());
        Link all = null;
        int count = 0;
        for (int i = 0; i < 400000; i++) {
            Link one = new Link();
            if (i % 1000 == 0) {
                one.next = all;
                all = one;
            }
            sink = one.load.length;
        }
        System.gc();
        for (; all != null; all = all.next)
            count++;
        return count == 400 && lost.get() == null;
    }

    /* All other threads stop at the next page that they look at: those that make no call as well. */
    static boolean stops() throws Exception {
        Thread[] threads = new Thread[3];
        AtomicInteger stop = new AtomicInteger();
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(() -> {
                while (stop.get() == 0)
                    sink++;
            });
            threads[i].start();
        }
        for (int i = 0; i < 20; i++) {
            System.gc();
            for (Thread thread : threads)
                if (thread.getStackTrace() == null)
                    return false;
        }
        stop.set(1);
        for (Thread thread : threads)
            thread.join();
        return true;
    }

    static boolean mappedFile() throws Exception {
        Path path = Files.createTempFile("mapped", "");
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            MappedByteBuffer memory = file.getChannel().map(MapMode.READ_WRITE, 0, 100000);
            memory.putInt(90000, 12345678);
            memory.force();
            file.seek(90000);
            return file.readInt() == 12345678;
        } finally {
            Files.delete(path);
        }
    }

    /* The file has become shorter: SIGBUS, of which the machine makes an error. */
    static boolean lostFile() throws Exception {
        Path path = Files.createTempFile("lost", "");
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            MappedByteBuffer memory = file.getChannel().map(MapMode.READ_WRITE, 0, 100000);
            file.setLength(0);
            memory.get(50000);
            return false;
        } catch (InternalError error) {
            return true;
        } finally {
            Files.delete(path);
        }
    }

    static boolean virtualThreads() throws Exception {
        AtomicInteger count = new AtomicInteger();
        try (ExecutorService pool = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < 1000; i++)
                pool.submit(() -> {
                    Thread.sleep(20);
                    return count.incrementAndGet();
                });
        }
        return count.get() == 1000;
    }

    static boolean waits() throws Exception {
        long begin = System.nanoTime();
        CountDownLatch latch = new CountDownLatch(1);
        boolean early = latch.await(50, TimeUnit.MILLISECONDS);
        Thread parked = new Thread(() -> {
            while (!Thread.interrupted())
                LockSupport.parkNanos(TimeUnit.SECONDS.toNanos(600));
        });
        boolean late = System.nanoTime() - begin >= 50000000;
        parked.start();
        parked.interrupt();
        parked.join();
        return !early && late;
    }

    static boolean sockets() throws Exception {
        try (Selector selector = Selector.open(); ServerSocketChannel server = ServerSocketChannel.open()) {
            server.bind(new InetSocketAddress("127.0.0.1", 0)).configureBlocking(false);
            server.register(selector, SelectionKey.OP_ACCEPT);
            Thread peer = new Thread(() -> {
                try (SocketChannel client = SocketChannel.open(server.getLocalAddress())) {
                    ByteBuffer bytes = ByteBuffer.allocateDirect(300000);
                    while (bytes.hasRemaining())
                        client.write(bytes);
                } catch (Exception error) {
                    System.out.println("# " + error);
                }
            });
            ByteBuffer buffer = ByteBuffer.allocate(10000);
            int got = 0;
            peer.start();
            for (boolean open = true; open; ) {
                selector.select();
                for (SelectionKey key : selector.selectedKeys()) {
                    if (key.isAcceptable()) {
                        server.accept().configureBlocking(false).register(selector, SelectionKey.OP_READ);
                        continue;
                    }
                    int read = ((SocketChannel) key.channel()).read(buffer.clear());
                    if (read < 0) {
                        key.channel().close();
                        open = false;
                    } else {
                        got += read;
                    }
                }
                selector.selectedKeys().clear();
            }
            peer.join();
            return got == 300000;
        }
    }

    static boolean child() throws Exception {
        Process echo = new ProcessBuilder("echo", "child").start();
        String said = new String(echo.getInputStream().readAllBytes());
        return said.equals("child\n") && echo.waitFor() == 0
            && new ProcessBuilder("sh", "-c", "exit 3").start().waitFor() == 3;
    }

    public static void main(String[] words) {
        tell("threads", Machine::sum);
        tell("null", Machine::nulls);
        tell("division by zero", Machine::zeros);
        tell("stacks without end", Machine::deepStacks);
        tell("garbage", Machine::garbage);
        tell("threads stop", Machine::stops);
        tell("a mapped file", Machine::mappedFile);
        tell("a mapped file that is lost", Machine::lostFile);
        tell("virtual threads", Machine::virtualThreads);
        tell("waits", Machine::waits);
        tell("sockets", Machine::sockets);
        tell("a child", Machine::child);
        System.out.println("1.." + done);
    }
}
