// The endpoint `echo` of peer.py on another library: `node peer.js`. Prints its port, serves until
// its standard input ends.
let ws;
try {
  ws = require('ws');
} catch (error) {
  console.log('skipped: no ws library for node');
  process.exit(77);
}

const server = new ws.WebSocketServer({ host: '127.0.0.1', port: 0 });
server.on('listening', () => console.log(server.address().port));
server.on('connection', (peer) => {
  let sid;
  let count = 0;
  const say = (event, more) => peer.send(JSON.stringify({ event, streamSid: sid, ...more }));
  peer.on('message', (data) => {
    const message = JSON.parse(data);
    if (message.event === 'start') {
      sid = message.streamSid;
    } else if (message.event === 'media') {
      say('media', { media: { payload: message.media.payload } });
      if (++count === 5) say('mark', { mark: { name: 'five' } });
    } else if (message.event === 'mark') {
      say('clear');
      peer.close();
    }
  });
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
