import 'autoglm-web';
import { useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';

const EXAMPLES = [{ text: 'Open Maps', image: './samples/home.png' }];

function App() {
  const chat = useRef(null);
  const [seen, setSeen] = useState('Nothing yet');
  return (
    <main>
      <output>
        {seen} <button onClick={() => chat.current.reset()}>Start again</button>
      </output>
      <autoglm-chat
        ref={chat}
        model="./models/autoglm-tiny-q4f16_1"
        loading="eager"
        examples={EXAMPLES}
        onautoglm-message={({ turn }) => setSeen(`${turn.role}: ${turn.text}`)}
        onautoglm-action={({ action }) => console.log('The page may carry this out:', action)}
      />
    </main>
  );
}

createRoot(document.getElementById('app')).render(<App />);
